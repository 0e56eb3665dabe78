"""How the sweepers split overrides into jobs."""

from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from hydra_plugins.mnist_vae.grid import GridSweeper
from hydra_plugins.mnist_vae.search import SearchSweeper
from mnist_vae.sweeps.sweeper import combinations
from mnist_vae.utils.errors import SettingsError


@pytest.mark.parametrize(
    ("words", "jobs"),
    [
        ([], [[]]),
        (["a=1"], [["a=1"]]),
        (
            ["a=1,2", "b=x", "c=3,4"],
            [["a=1", "b=x", "c=3"], ["a=1", "b=x", "c=4"], ["a=2", "b=x", "c=3"], ["a=2", "b=x", "c=4"]],
        ),
        (["a=range(0,3)"], [["a=0"], ["a=1"], ["a=2"]]),
        (["a=1,2", "a=5"], [["a=5"]]),
        (["+a=choice(x,y)"], [["+a=x"], ["+a=y"]]),
    ],
)
def test_every_combination_is_a_job(words: list[str], jobs: list[list[str]]) -> None:
    assert combinations(OverridesParser.create().parse_overrides(words)) == jobs


def test_an_interval_is_refused() -> None:
    with pytest.raises(SettingsError, match="lr: an interval is for sweep=search"):
        combinations(OverridesParser.create().parse_overrides(["lr=interval(0,1)"]))


@pytest.mark.parametrize("word", ["seed=range(0,0)", "lr=range(1,0.5)"])
def test_a_key_without_a_value_is_refused(word: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{word.partition('=')[0]}=range.*: there is no value in it; give some"):
        combinations(OverridesParser.create().parse_overrides(["beta=1,2", word]))


def test_params_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"^hydra\.sweeper\.params=5: it must be a mapping"):
        GridSweeper(None, 5).overrides([])  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, -1, "abc", 1.5, True])
def test_a_batch_size_that_is_no_number_of_jobs_is_refused(size: object) -> None:
    with pytest.raises(SettingsError, match=rf"^hydra\.sweeper\.max_batch_size={size}: it must be a whole number"):
        GridSweeper(size).sweep([])  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("n_trials", 0), ("n_trials", "abc"), ("parallel", 0), ("parallel", 1.5)])
def test_a_number_of_trials_that_is_none_is_refused(name: str, value: object) -> None:
    settings = {"n_trials": 3, "parallel": None, name: value}
    sweeper = SearchSweeper(**settings, metric="val/elbo", direction="max", sampler=None, pruner=None)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=rf"^hydra\.sweeper\.{name}={value}: it must be a whole number, 1 or more"):
        sweeper.sweep([])


def test_the_command_line_comes_after_the_params() -> None:
    sweeper = GridSweeper(None, {"a": "1,2", "b": "3"})
    sweeper.hydra_context = SimpleNamespace(config_loader=None)  # type: ignore[assignment]
    assert combinations(sweeper.overrides(["a=7"])) == [["a=7", "b=3"]]
