"""Charts of a search against Optuna's own."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest

from mnist_vae.sweeps.report import write_report
from mnist_vae.sweeps.report.charts.search import history, importance, read_search
from mnist_vae.sweeps.results import read_sweep
from mnist_vae.sweeps.study import PROBLEM, STUDY, open_study
from tests.sweeps.report.charts.helpers import checked
from tests.sweeps.report.helpers import Page
from tests.synthetic import make_run


def make_search(folder: Path, trials: int = 12, key: str = "lr", direction: str = "maximize") -> optuna.Study:
    """A study of which trial 3 was stopped early and trial 4 failed, and the folder of trial 0."""
    make_run(folder / "trial-000,lr=1", -100.0)
    study = open_study(folder, direction)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    study.set_user_attr(PROBLEM, ["lr from 1 to 2", f"{direction} val/elbo"])
    for number in range(trials):
        trial = study.ask()
        value = -trial.suggest_float(key, 1, 2) - 0.01 * trial.suggest_int("depth", 1, 9)
        trial.report(-7.0, 1)
        states = {3: optuna.trial.TrialState.PRUNED, 4: optuna.trial.TrialState.FAIL}
        if number in states:
            study.tell(trial, state=states[number])
        else:
            study.tell(trial, value)
    return study


def test_the_history_is_that_of_optuna_with_the_trials_that_were_stopped(tmp_path: Path) -> None:
    study = make_search(tmp_path)
    search = read_search(tmp_path)
    assert search is not None and search.metric == "val/elbo" and search.higher and search.failed == 1
    figure = checked(history(search, read_sweep(tmp_path)))
    points, stopped, best = figure["data"]
    theirs = optuna.visualization.plot_optimization_history(study).data
    for mine, other in ((points, theirs[0]), (best, theirs[1])):
        of_trial = dict(zip(other.x, other.y, strict=True))  # also of those that have no value
        assert mine["y"] == pytest.approx([of_trial[number] for number in mine["x"]], rel=1e-5)
    assert points["x"] == best["x"] == [0, 1, 2, *range(5, 12)]
    assert (stopped["x"], stopped["y"]) == ([3], [-7])
    assert points["text"][0].startswith("trial 0: lr=1.5") and ", depth=" in points["text"][0]
    assert points["customdata"][0].startswith("run-") and points["customdata"][1] == ""  # it has no folder
    assert search.summary.startswith(
        "10 trials to the end, 1 stopped early, 1 failed; the best val/elbo is \N{MINUS SIGN}1."
    )


def test_a_metric_can_be_minimised(tmp_path: Path) -> None:
    study = make_search(tmp_path, direction="minimize")
    search = read_search(tmp_path)
    assert search is not None and f"of trial {study.best_trial.number}." in search.summary
    assert checked(history(search, read_sweep(tmp_path)))["data"][2]["y"][-1] == pytest.approx(
        study.best_value, rel=1e-5
    )


def test_the_importances_are_those_of_optuna(tmp_path: Path) -> None:
    study = make_search(tmp_path)
    search = read_search(tmp_path)
    assert search is not None and search.importances == optuna.importance.get_param_importances(study)
    figure = checked(importance(search))
    assert figure["layout"]["yaxis"]["ticktext"] == list(search.importances) and sum(figure["data"][0]["x"]) > 0.99


def test_few_trials_say_nothing_about_importance(tmp_path: Path) -> None:
    make_search(tmp_path, trials=2)
    search = read_search(tmp_path)
    assert search is not None and importance(search) is None and checked(history(search, read_sweep(tmp_path)))


@pytest.mark.parametrize("content", ["[" * 100_000, "7\n", '{"op_code": 99}\n', "", None])
def test_a_damaged_study_and_one_without_trials_are_left_out(content: str | None, tmp_path: Path) -> None:
    make_run(tmp_path / "a", -100.0)
    if content is not None:
        (tmp_path / STUDY).write_text(content)
    before = sorted(tmp_path.iterdir())
    assert read_search(tmp_path) is None and sorted(tmp_path.iterdir()) == before
    assert "Importance" not in Page(write_report(tmp_path)).text


def test_a_study_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    make_search(tmp_path / "theirs")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / STUDY).symlink_to(tmp_path / "theirs" / STUDY)
    assert read_search(tmp_path / "mine") is None


def test_without_optuna_there_is_no_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_search(tmp_path, trials=5)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert read_search(tmp_path) is None


def test_the_page_has_them_and_names_of_a_stranger_are_escaped(tmp_path: Path) -> None:
    study = make_search(tmp_path, key="</script><b>%{x}")
    study.set_user_attr(PROBLEM, ["maximize <i>"])
    page = Page(write_report(tmp_path))
    assert "10 trials to the end, 1 stopped early, 1 failed; the best <i> is" in page.text
    assert "Importance of the hyperparameters" in page.text
    searched: list[dict[str, Any]] = page.charts[-2:]
    texts = [*searched[0]["data"][0]["text"], *searched[1]["layout"]["yaxis"]["ticktext"]]
    assert len(texts) == 12 and all("<" not in text for text in texts)
    assert "&lt;/script&gt;&lt;b&gt;%{x}" in searched[1]["layout"]["yaxis"]["ticktext"]
    assert searched[0]["layout"]["yaxis"]["title"]["text"] == "&lt;i&gt;"


def test_a_value_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    study = make_search(tmp_path, trials=3)
    study.tell(study.ask(), math.inf)
    search = read_search(tmp_path)
    assert search is not None and [number for number, _ in search.ended] == [0, 1, 2]
