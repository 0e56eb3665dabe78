"""From config to the parts of an experiment."""

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from mnist_vae.data import ImageDataModule
from mnist_vae.instantiate import instantiate, instantiate_safely, instantiate_source_safely
from mnist_vae.vae import VAE


def build_vae(cfg: DictConfig, image_shape: tuple[int, int, int]) -> VAE:
    """The VAE that a config describes, with fresh weights from torch's global generator.

    Only torch modules of this project or of torch itself are built, whether the config comes from the command
    line or from somebody's run folder.

    Args:
        image_shape: (channels, height, width), from the data.

    Raises:
        SettingsError: a value of the groups model, likelihood or prior is wrong.
    """
    likelihood = instantiate_safely("likelihood", cfg.likelihood, image_shape=image_shape)
    prior = instantiate_safely("prior", cfg.prior, latent_dim=cfg.latent_dim)
    network = instantiate_safely(
        "model",
        cfg.model,
        image_shape=image_shape,
        latent_dim=cfg.latent_dim,
        parameters_per_value=likelihood.parameters_per_value,
    )
    return VAE(network, likelihood, prior)


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
