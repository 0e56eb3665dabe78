"""The objects that a config names, built and so checked."""

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from mnist_vae.config.instantiate import instantiate, instantiate_callable, locate
from mnist_vae.training import schedules
from mnist_vae.utils.errors import SettingsError, first_line


def build_objective(cfg: DictConfig, train_size: int) -> Callable[..., Any]:
    """What the config's group objective names: (vae, x, epoch, noise) -> Terms.

    Args:
        train_size: training images.

    Raises:
        SettingsError: a value of the group is wrong.
    """
    return instantiate_callable("objective", cfg.objective, "vae", "x", "epoch", "noise", train_size=train_size)


def build_schedule(cfg: DictConfig) -> Callable[[float], float] | None:
    """What the config's group schedule names, epochs trained -> factor of lr; None for a constant learning rate.

    Raises:
        SettingsError: a value of the group is wrong.
    """
    if locate("schedule", cfg.schedule) is schedules.constant:
        return None
    factor = instantiate_callable("schedule", cfg.schedule, "epoch", max_epochs=cfg.max_epochs)
    try:
        factor(0.0)
    except ValueError as error:
        raise SettingsError(f"schedule: {first_line(error)}.") from error
    return factor


def optimizer_maker(cfg: DictConfig) -> Callable[[Any], Any]:
    """A function parameters -> optimiser, after the config's group optimizer."""
    return lambda parameters: instantiate("optimizer", cfg.optimizer, params=parameters)


def build_callbacks(cfg: DictConfig) -> list[Any]:
    """The callbacks that the config's group of that name lists."""
    return [instantiate(f"callbacks.{name}", node) for name, node in cfg.callbacks.items()]
