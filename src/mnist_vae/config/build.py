"""Build the parts of an experiment from its config."""

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from mnist_vae.config.instantiate import (
    SAFE_MODULES,
    SAFE_SOURCES,
    check_safe,
    instantiate,
    instantiate_callable,
    locate,
)
from mnist_vae.data.datamodule import ImageDataModule
from mnist_vae.data.images import Source
from mnist_vae.models.priors import Prior
from mnist_vae.models.vae import VAE
from mnist_vae.utils.errors import SettingsError, first_line


def build_vae(
    cfg: DictConfig, image_shape: tuple[int, int, int], classes: int = 0, trust: Sequence[str] | None = None
) -> VAE:
    """Build the VAE that a config describes, with PyTorch's own initial weights, from torch's global generator.

    Args:
        image_shape: (channels, height, width), from the data.
        classes: the data's number of labels, for a conditional VAE.
        trust: for a config that somebody else may have written: accept only torch modules of this project, of torch
            itself and of these packages. If None, all are accepted.

    Raises:
        SettingsError: a value of the groups model, posterior, likelihood or prior is wrong.
        ValueError: the config is of a conditional VAE, and there are no labels.
    """
    if cfg.conditional and not classes:
        raise ValueError("a conditional VAE needs the number of its labels")
    labels = classes if cfg.conditional else 0
    make = partial(_instantiate_module, trust)
    likelihood = make("likelihood", cfg.likelihood, image_shape=image_shape)
    prior = build_prior(cfg.prior, cfg.latent_dim, image_shape, trust)
    network = make(
        "model",
        cfg.model,
        image_shape=image_shape,
        latent_dim=cfg.latent_dim + labels,  # the decoder sees a label beside each code
        parameters_per_value=likelihood.parameters_per_value,
    )
    posterior = make("posterior", cfg.posterior, features=network.features, latent_dim=cfg.latent_dim, prior=prior)
    return VAE(network, likelihood, prior, posterior, labels)


def build_prior(
    node: DictConfig, latent_dim: int, image_shape: tuple[int, int, int], trust: Sequence[str] | None = None
) -> Prior:
    """Build the prior that a node of the group prior describes.

    Args:
        image_shape, trust: see `build_vae`.

    Raises:
        SettingsError: a value of the node is wrong.
    """
    return _instantiate_module(trust, "prior", node, latent_dim=latent_dim, image_shape=image_shape)


def _instantiate_module(trust: Sequence[str] | None, key: str, node: DictConfig, **given: Any) -> Any:
    if trust is not None:
        check_safe(key, node, SAFE_MODULES, trust)
    return instantiate(key, node, torch.nn.Module, **given)


def initialize(cfg: DictConfig, vae: VAE, mean_pixel: Tensor | None) -> None:
    """Draw a VAE's initial weights as the config says, from torch's global generator.

    Args:
        mean_pixel: mean of the training images, (channels,), in [0, 1].

    Raises:
        SettingsError: a value of the group init is wrong.
    """
    if not cfg.get("init"):  # configs of earlier versions do not have the key
        return
    draw = instantiate_callable("init", cfg.init, "vae", "mean_pixel")
    try:
        draw(vae=vae, mean_pixel=mean_pixel)
    except ValueError as error:
        raise SettingsError(f"init: {first_line(error)}.") from error


def build_data(cfg: DictConfig, trust: Sequence[str] | None = None) -> ImageDataModule:
    """Load the images that a config names.

    Args:
        trust: for a config that somebody else may have written: accept only sources of this project and of these
            packages. If None, all are accepted.

    Raises:
        DataError: the images are not available.
        SettingsError: a value of the group data, or batch_size, is wrong.
    """
    data = cfg.data
    if trust is not None:
        check_safe("data.source", data.source, SAFE_SOURCES, trust)
    source = instantiate("data.source", data.source, Source)
    return ImageDataModule(source, data.name, data.val_size, data.binarize, cfg.batch_size, cfg.seed)


def build_objective(cfg: DictConfig, train_size: int) -> Callable[..., Any]:
    """Build the config's objective, a callable (vae, x, labels, epoch, noise) -> Terms.

    Parameters of its own are drawn from torch's global generator.

    Args:
        train_size: training images.

    Raises:
        SettingsError: a value of the group is wrong.
    """
    of_batch = ("vae", "x", "labels", "epoch", "noise")
    return instantiate_callable("objective", cfg.objective, *of_batch, train_size=train_size, latent_dim=cfg.latent_dim)


def parameter_groups(module: torch.nn.Module, objective: Any) -> list[dict[str, Any]]:
    """Divide a module's parameters into those of the objective, with its `optimizer_options`, and the others, first.

    Args:
        objective: part of the module if it has parameters.
    """
    own = list(objective.parameters()) if isinstance(objective, torch.nn.Module) else []
    others = [parameter for parameter in module.parameters() if all(parameter is not one for one in own)]
    groups: list[dict[str, Any]] = [{"params": others}]
    return [*groups, {"params": own, **getattr(objective, "optimizer_options", {})}] if own else groups


def build_optimizer(
    cfg: DictConfig,
    parameters: Iterable[Tensor] | list[dict[str, Any]],
    lr: float | None = None,
    fused: bool | None = None,
) -> torch.optim.Optimizer:
    """Build the config's optimiser.

    Args:
        parameters: tensors, or groups of them with options of their own.
        lr, fused: replace the group's own entries, where it has them.

    Raises:
        SettingsError: a value of the group is wrong.
    """
    node = cfg.optimizer
    for name, value in (("lr", lr), ("fused", fused)):
        if value is not None and name in node:
            node = OmegaConf.merge(node, {name: value})
    given = list(parameters)
    optimizer: torch.optim.Optimizer = instantiate("optimizer", node, torch.optim.Optimizer, params=given)
    known = {"params", "name", *optimizer.defaults}
    ignored = [name for group in given if isinstance(group, dict) for name in group if name not in known]
    if ignored:
        raise SettingsError(
            f"objective: its parameters have the option {ignored[0]} of their own, which {type(optimizer).__name__} "
            "does not take; choose another optimizer."
        )
    return optimizer


def depends_on_max_epochs(cfg: DictConfig) -> bool:
    """Whether the schedule of the learning rate has an argument `max_epochs`."""
    return bool(cfg.schedule) and "max_epochs" in inspect.signature(locate("schedule", cfg.schedule)).parameters


def build_lr_factor(cfg: DictConfig, max_epochs: float) -> Callable[[float], float]:
    """Build the config's schedule, a function: epochs trained (fractions count) -> factor of the learning rate.

    Args:
        max_epochs: epochs to train, fractions count; infinite if their number is not known.

    Raises:
        SettingsError: a value of the group is wrong, or the schedule needs the number of epochs, and there is none.
    """
    if not cfg.schedule:  # lr is constant
        return lambda epoch: 1.0
    if math.isinf(max_epochs) and depends_on_max_epochs(cfg):
        raise SettingsError(
            "schedule: it depends on the number of epochs, which trainer.max_epochs=-1 or a loader without a length "
            "leaves open; choose schedule=constant, or set trainer.max_steps where the loader has a length."
        )
    factor = instantiate_callable("schedule", cfg.schedule, "epoch", max_epochs=max_epochs)
    try:
        factor(0.0)
    except ValueError as error:
        raise SettingsError(f"schedule: {first_line(error)}.") from error
    return factor
