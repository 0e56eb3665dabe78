"""Trials that are stopped early."""

import math
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from omegaconf import DictConfig

from mnist_vae.sweeps.pruning import Pruning, build
from mnist_vae.sweeps.study import open_study
from mnist_vae.training.train import train
from mnist_vae.utils.errors import SettingsError

PRUNER = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 2, "n_warmup_steps": 1}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("better_by", [-1000.0, 1000.0])
def test_a_pruned_trial_is_stopped_and_is_complete(
    better_by: float, tiny: Callable[..., DictConfig], tmp_path: Path
) -> None:
    """Other trials that were much worse, or much better, after each epoch than this one can be."""
    study = open_study(tmp_path, "maximize")
    for _ in range(3):
        other = study.ask()
        for epoch in range(1, 6):
            other.report(-300.0 + better_by, epoch)
        study.tell(other, -300.0 + better_by)
    trial = study.ask()
    pruner = ",".join(f"{key}:{value}" for key, value in PRUNER.items())
    pruning = f"{{_target_:mnist_vae.sweeps.pruning.Pruning,trial:{trial.number},metric:val/elbo,pruner:{{{pruner}}}}}"
    metrics = train(tiny("max_epochs=5", f"+callbacks.pruning={pruning}"), tmp_path / "trial")
    stopped = open_study(tmp_path).trials[trial.number]
    assert metrics["epochs"] == (1 if better_by > 0 else 5)
    assert (stopped.user_attrs == {"pruned": 1}) == (better_by > 0)
    assert len(stopped.intermediate_values) == metrics["epochs"] and math.isfinite(metrics["test/elbo"])


def test_an_epoch_done_again_after_a_kill_is_reported_once(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    open_study(tmp_path, "maximize").ask()
    callback = Pruning(0, "val/elbo", build("pruner", PRUNER))
    for value in (-200.0, -199.0):
        assert not callback._is_pruned(tmp_path, value, epoch=1)
    assert open_study(tmp_path).trials[0].intermediate_values == {1: -200.0}
    assert not [warning for warning in recwarn if issubclass(warning.category, optuna.exceptions.OptunaError)]


def test_a_metric_that_is_not_known_after_an_epoch_is_refused(tiny: Callable[..., DictConfig], tmp_path: Path) -> None:
    open_study(tmp_path, "maximize").ask()
    pruning = (
        "{_target_:mnist_vae.sweeps.pruning.Pruning,trial:0,metric:nll,pruner:{_target_:optuna.pruners.NopPruner}}"
    )
    with pytest.raises(SettingsError, match=r"hydra.sweeper.metric=nll: .* there are .*val/elbo"):
        train(tiny(f"+callbacks.pruning={pruning}"), tmp_path / "nested" / "trial")
