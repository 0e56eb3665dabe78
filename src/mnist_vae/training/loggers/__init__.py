"""The loggers that the group `logger` chooses from, and how pictures are logged by any logger.

When a run is resumed, what was logged after its last checkpoint is logged again. TensorBoard and StepsCSV drop it
first; Weights & Biases and MLflow, which only append, skip what they have.
"""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from pytorch_lightning.loggers import Logger, MLFlowLogger, WandbLogger

from mnist_vae.training.loggers.mlflow import MLflow
from mnist_vae.training.loggers.pictures import log_picture, takes_pictures
from mnist_vae.training.loggers.steps_csv import StepsCSV
from mnist_vae.training.loggers.tensorboard import TERMS, TensorBoard
from mnist_vae.training.loggers.wandb import WandB
from mnist_vae.utils.errors import SettingsError

__all__ = ["TERMS", "MLflow", "StepsCSV", "TensorBoard", "WandB", "close", "log_picture", "require", "takes_pictures"]

EXTRAS = ((WandbLogger, "wandb"), (MLFlowLogger, "mlflow"))  # the package that each needs, and the extra that has it


def require(key: str, target: Any) -> None:
    """Raise SettingsError if a logger's class needs a package that is not installed.

    Args:
        key: where the logger stands in the config.
        target: the class, or a function that makes a logger, which is not checked.
    """
    for kind, package in EXTRAS:
        if isinstance(target, type) and issubclass(target, kind):
            found = find_spec(package)
            # Weights & Biases keeps its files in a folder `wandb`, which passes for a package without code.
            if found is None or found.origin is None:
                raise SettingsError(
                    f'{key}: it needs {package}, which is not installed; install it by: pip install -e ".[{package}]"'
                )


def close(loggers: Iterable[Logger], failed: bool) -> None:
    """Close those loggers that are of this project."""
    for logger in loggers:
        if isinstance(logger, TensorBoard | WandB | MLflow):
            logger.close(failed)
