"""How the sweepers split overrides into jobs."""

from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from hydra_plugins.mnist_vae.grid import GridSweeper
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


def test_the_command_line_comes_after_the_params() -> None:
    sweeper = GridSweeper(None, {"a": "1,2", "b": "3"})
    sweeper.hydra_context = SimpleNamespace(config_loader=None)  # type: ignore[assignment]
    assert combinations(sweeper.overrides(["a=7"])) == [["a=7", "b=3"]]
