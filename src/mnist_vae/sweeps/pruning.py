"""Stop the worse trials of a search early: the part of a search that runs inside each job."""

import math
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import OmegaConf

from mnist_vae.config.instantiate import instantiate
from mnist_vae.sweeps.study import PRUNED, STUDY, open_study
from mnist_vae.utils.compat import optuna_trial
from mnist_vae.utils.errors import SettingsError


class Pruning(pl.Callback):
    """Report a metric to the study after each epoch, and end the training if the pruner says so.

    A run that ends so is complete like any other: tested, drawn, and of fewer epochs.

    Args:
        trial: its number in the study, which lies in a folder above the run's.
        metric: one that is known after each epoch.
        pruner: Optuna's.
    """

    def __init__(self, trial: int, metric: str, pruner: Any) -> None:
        self.trial, self.metric, self.pruner = trial, metric, pruner

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        stop = False
        if trainer.is_global_zero:
            results = trainer.callback_metrics
            if self.metric not in results:
                raise SettingsError(
                    f"hydra.sweeper.metric={self.metric}: it is not logged after each epoch, and so trials can't "
                    f"be stopped early by it; there are {', '.join(sorted(results))}, and hydra.sweeper.pruner=null."
                )
            sweep = next(path for path in Path(trainer.default_root_dir).parents if (path / STUDY).exists())
            stop = self._is_pruned(sweep, float(results[self.metric]), trainer.current_epoch + 1)
        trainer.should_stop |= trainer.strategy.broadcast(stop)

    def _is_pruned(self, sweep: Path, value: float, epoch: int) -> bool:
        study = open_study(sweep)
        study.pruner = self.pruner
        trial = optuna_trial(study, self.trial)
        known = study.trials[self.trial].intermediate_values  # of an epoch that a kill has undone
        if epoch not in known and math.isfinite(value):
            trial.report(value, epoch)
        if trial.should_prune():
            trial.set_user_attr(PRUNED, epoch)
            return True
        return False


def build(key: str, node: dict[str, Any]) -> Any:
    """Build the sampler or pruner that a config names.

    Raises:
        SettingsError: there is none of that name, or it does not take these arguments.
    """
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return instantiate(key, OmegaConf.create(node))
