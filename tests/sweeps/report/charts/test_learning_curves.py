from pathlib import Path
from typing import Any

import pytest

from mnist_vae.sweeps.report.charts import learning_curves
from mnist_vae.sweeps.report.charts.learning_curves import comparable
from mnist_vae.sweeps.results import read_sweep
from tests.sweeps.report.charts.helpers import checked
from tests.synthetic import make_failure, make_run, make_sweep


def figure(folder: Path) -> dict[str, Any]:
    sweep = read_sweep(folder)
    ((_, jobs),) = comparable(sweep)
    return checked(learning_curves.learning_curves(jobs, sweep.keys))


def test_every_run_with_an_epoch_has_a_line_the_best_first(tmp_path: Path) -> None:
    traces = figure(make_sweep(tmp_path))["data"]
    assert [trace["text"] for trace in traces] == [
        *("beta=1,seed=0", "beta=1,seed=1", "beta=4,seed=0", "beta=4,seed=1", "beta=8,seed=0")
    ]
    assert all((trace["x"], trace["y"]) == ([1, 2], [-150, -140]) for trace in traces)
    assert [trace["name"] for trace in traces] == ["1", "1", "4", "4", "8"]


def test_the_metric_can_be_chosen(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", -100.0, monitor="val/kl")
    (run / "metrics.csv").write_text("epoch,seconds,train/<i>,val/elbo,val/kl\n1,2,3,-150,7\n2,2,nan,-140,8\n")
    found = figure(tmp_path)
    assert found["data"][0]["y"] == [7, 8] and found["layout"]["yaxis"]["title"]["text"] == "val/kl"
    (menu,) = found["layout"]["updatemenus"]
    assert [button["label"] for button in menu["buttons"]] == ["val/kl", "val/elbo", "train/&lt;i&gt;"]
    update, layout, indices = menu["buttons"][2]["args"]
    assert update == {"y": [[3, None]]} and indices == [0]
    assert layout["yaxis.title.text"] == "train/&lt;i&gt;"


def test_runs_on_other_data_and_runs_set_apart_are_not_in_one_chart(tmp_path: Path) -> None:
    for data in ("mnist", "digits"):
        make_run(tmp_path / data, -100.0, data=data)
    make_run(tmp_path / "unfinished", data="digits")
    make_run(tmp_path / "diverged", -1e33)
    (make_run(tmp_path / "diverging") / "metrics.csv").write_text("epoch,val/elbo\n1,-1e30\n2,nan\n")
    make_failure(make_run(tmp_path / "failed"), "no.")
    make_failure(tmp_path / "failed at once", "no.")
    found = {dataset.name: [job.name for job in jobs] for dataset, jobs in comparable(read_sweep(tmp_path))}
    assert found == {"mnist": ["mnist", "failed"], "digits": ["digits", "unfinished"]}


def test_long_curves_are_thinned_and_keep_their_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_curves, "MOST_POINTS", 100)
    run = make_run(tmp_path / "a", -100.0)
    rows = "".join(f"{epoch},{-epoch}\n" for epoch in range(1, 1002))
    (run / "metrics.csv").write_text("epoch,val/elbo\n" + rows)
    (trace,) = figure(tmp_path)["data"]
    assert 50 < len(trace["x"]) <= 100 and trace["x"][-1] == 1001 and trace["y"][-1] == -1001
    assert trace["x"] == sorted(trace["x"])


def test_of_too_many_runs_the_best_are_drawn_and_a_note_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning_curves, "MOST_CURVES", 3)
    sweep = read_sweep(make_sweep(tmp_path))
    ((_, jobs),) = comparable(sweep)
    chart = learning_curves.learning_curves(jobs, sweep.keys)
    assert len(checked(chart)["data"]) == 3 and chart.note == "The chart has the first 3 of 5 runs."
    assert learning_curves.learning_curves(jobs[:3], sweep.keys).note == ""


def test_epochs_without_validation_leave_no_gap(tmp_path: Path) -> None:
    (make_run(tmp_path / "a", -100.0) / "metrics.csv").write_text("epoch,val/elbo,train/loss\n1,-9,3\n2,,2\n3,-7,1\n")
    (trace,) = figure(tmp_path)["data"]
    assert (trace["x"], trace["y"]) == ([1, 3], [-9, -7])


def test_one_epoch_is_a_point(tmp_path: Path) -> None:
    (make_run(tmp_path / "a", -100.0) / "metrics.csv").write_text("epoch,val/elbo\n1,-150\n")
    assert figure(tmp_path)["data"][0]["mode"] == "markers"
