from pathlib import Path
from typing import Any

import pytest

from mnist_vae.sweeps.report.charts.plane import along_beta, plane
from tests.sweeps.report.charts.helpers import checked, group
from tests.synthetic import make_run


def named(figure: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [trace for trace in figure["data"] if trace.get("name") == name]


def test_a_point_is_a_configuration_by_its_means_over_seeds(tmp_path: Path) -> None:
    settings = [{"beta": beta, "seed": seed} for beta, seed in ((1, 0), (4, 0), (0.5, 0), (1, 1))]
    chart = plane(group(tmp_path, *settings))
    figure = checked(chart)
    points = [trace for trace in figure["data"] if "uid" in trace]
    # By validation: -100 of beta = 4, then -100.5, then -101. Of beta = 1, KL 10 and 13.
    assert [(trace["text"], trace["x"], trace["y"]) for trace in points] == [
        ("beta=4", [11], [90]),
        ("beta=1", [11.5], [90]),
        ("beta=0.5", [12], [90]),
    ]
    (best,), (free,) = named(figure, "best"), named(figure, "β = 1")
    assert (best["x"], free["x"]) == ([11], [11.5])
    assert [trace["x"] for trace in figure["data"] if trace.get("zorder") == -1] == [[12, 11.5, 11]]  # by rising beta
    assert chart is not None and len(chart.pictures) == 1  # one for beta, none for the seed


def test_lines_of_equal_elbo_are_labelled_by_it(tmp_path: Path) -> None:
    figure = checked(plane(group(tmp_path, {"beta": 1}, {"beta": 2}, {"beta": 4})))
    lines = [trace for trace in figure["data"] if trace.get("zorder") == -2]
    assert len(lines) > 3
    for trace in lines:
        assert sum((trace["x"][0], trace["y"][0])) == pytest.approx(sum((trace["x"][1], trace["y"][1])))
    axes, labels = figure["layout"], figure["layout"]["annotations"]
    assert len(labels) > 1
    for label in labels:
        x = axes["xaxis"]["range"][1] if label.get("xref") == "x domain" else label["x"]
        y = axes["yaxis"]["range"][1] if label.get("yref") == "y domain" else label["y"]
        assert -float(label["text"].replace("\N{MINUS SIGN}", "-")) == pytest.approx(x + y)


def test_the_seed_alone_makes_no_plane(tmp_path: Path) -> None:
    assert plane(group(tmp_path, {"seed": 0}, {"seed": 1})) is None


def test_runs_that_did_not_learn_are_not_drawn(tmp_path: Path) -> None:
    make_run(tmp_path / "diverged", -1e33, beta=9)
    figure = checked(plane(group(tmp_path, {"beta": 1}, {"beta": 2})))
    assert [trace["name"] for trace in figure["data"] if "uid" in trace] == ["1", "2"]


def test_without_ranks_nothing_is_ringed(tmp_path: Path) -> None:
    for beta in (1, 2):
        make_run(tmp_path / str(beta), -100.0, beta=beta, monitor=None)
    assert named(checked(plane(group(tmp_path))), "best") == []


def test_points_without_a_number_are_left_out(tmp_path: Path) -> None:
    for beta in (1, 2):
        make_run(tmp_path / str(beta), -100.0, kl=float("nan"), beta=beta)
    figure = checked(plane(group(tmp_path)))
    assert [trace["x"] for trace in figure["data"] if "uid" in trace] == [[None], [None]]


def test_beta_is_written_at_the_points_of_curves(tmp_path: Path) -> None:
    figure = checked(plane(group(tmp_path, *({"beta": beta} for beta in (4, 1, 0.5)))))
    (labels,) = [trace for trace in figure["data"] if "text" in trace["mode"]]
    by_beta = {trace["text"].removeprefix("beta="): trace["x"][0] for trace in figure["data"] if "uid" in trace}
    assert dict(zip(labels["text"], labels["x"], strict=True)) == by_beta
    assert len(set(labels["textposition"])) >= 1 and len(labels["textposition"]) == 3


def test_runs_that_differ_in_one_of_many_other_settings_are_not_joined(tmp_path: Path) -> None:
    for place in range(12):
        make_run(tmp_path / str(place), -100.0, kl=10.0 + place, typed=False, beta=1 + place)
        config = tmp_path / str(place) / ".hydra" / "config.yaml"
        extra = "".join(f"extra_{key}: {int(key == place)}\n" for key in range(12))
        config.write_text(config.read_text() + extra)
    figure = checked(plane(group(tmp_path)))
    assert not [trace for trace in figure["data"] if trace.get("zorder") == -1 or "text" in trace["mode"]]


def test_items_that_differ_in_beta_alone_are_joined() -> None:
    settings: dict[str, Any] = {"beta": [4, 1, 2, 1], "model": ["a", "a", "a", "b"]}
    assert along_beta(settings) == ([[1, 2, 0]], [1, 3])
    assert along_beta({"model": ["a", "b"]}) == along_beta({"beta": ["x", "1"]}) == ([], [])
