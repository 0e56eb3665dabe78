"""From config to the parts of an experiment."""

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from mnist_vae import schedules
from mnist_vae.data import ImageDataModule
from mnist_vae.errors import SettingsError, first_line
from mnist_vae.instantiate import (
    instantiate,
    instantiate_callable,
    instantiate_safely,
    instantiate_source_safely,
    locate,
)
from mnist_vae.vae import VAE


def build_vae(cfg: DictConfig, image_shape: tuple[int, int, int], classes: int = 0) -> VAE:
    """The VAE that a config describes, with fresh weights from torch's global generator.

    Only torch modules of this project or of torch itself are built, whether the config comes from the command
    line or from somebody's run folder.

    Args:
        image_shape: (channels, height, width), from the data.
        classes: the data's number of labels, for a conditional VAE.

    Raises:
        SettingsError: a value of the groups model, posterior, likelihood or prior is wrong.
        ValueError: the config is of a conditional VAE, and there are no labels.
    """
    if cfg.conditional and not classes:
        raise ValueError("a conditional VAE needs the number of its labels")
    labels = classes if cfg.conditional else 0
    likelihood = instantiate_safely("likelihood", cfg.likelihood, image_shape=image_shape)
    prior = instantiate_safely("prior", cfg.prior, latent_dim=cfg.latent_dim, image_shape=image_shape)
    network = instantiate_safely(
        "model",
        cfg.model,
        image_shape=image_shape,
        latent_dim=cfg.latent_dim + labels,  # the decoder sees a label beside each code
        parameters_per_value=likelihood.parameters_per_value,
    )
    posterior = instantiate_safely("posterior", cfg.posterior, features=network.features, latent_dim=cfg.latent_dim)
    return VAE(network, likelihood, prior, posterior, labels)


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


def build_data(cfg: DictConfig, safely: bool = False) -> ImageDataModule:
    """The images that a config names, in memory.

    Args:
        safely: accept only this project's own sources; for a config that somebody else may have written.

    Raises:
        DataError: the images can't be had.
        SettingsError: a value of the group data, or batch_size, is wrong.
    """
    make = instantiate_source_safely if safely else instantiate
    source = make("data.source", cfg.data.source)
    data = cfg.data
    return ImageDataModule(source, data.name, data.val_size, data.binarize, cfg.batch_size, cfg.seed)


def optimizer_maker(cfg: DictConfig) -> Callable[[Any], Any]:
    """A function parameters -> optimiser, after the config's group optimizer."""
    return lambda parameters: instantiate("optimizer", cfg.optimizer, params=parameters)


def build_callbacks(cfg: DictConfig) -> list[Any]:
    """The callbacks that the config's group of that name lists."""
    return [instantiate(f"callbacks.{name}", node) for name, node in cfg.callbacks.items()]
