"""Which choices make no sense together; each group is checked by itself when it is built."""

import re
from typing import Any

from omegaconf import DictConfig

from mnist_vae.data.binarize import Binarize
from mnist_vae.models.posteriors import DiagonalGaussian
from mnist_vae.models.priors import StandardNormal, VampPrior
from mnist_vae.models.vae import VAE
from mnist_vae.objectives import MMD
from mnist_vae.utils.errors import SettingsError


def check_combination(cfg: DictConfig, vae: VAE, objective: Any) -> None:
    """Raise SettingsError, with the reason, if the parts of an experiment contradict one another."""
    name = _typed(cfg.objective)
    if vae.likelihood.grey_only and cfg.data.binarize is not Binarize.none:
        raise SettingsError(
            f"likelihood={_typed(cfg.likelihood)} with data.binarize={cfg.data.binarize.name}: it is a distribution of "
            "grey levels, which pixels of 0 and 1 would drive to infinity; use data.binarize=none, or "
            "likelihood=bernoulli."
        )
    if cfg.beta != 1 and "beta" not in cfg.objective:
        raise SettingsError(f"beta={cfg.beta}: objective={name} has no beta; its own weights are under objective.")
    if getattr(objective, "needs_kl_per_dimension", False) and not _sums_over_dimensions(vae):
        raise SettingsError(
            f"objective.free_bits={cfg.objective.free_bits} with prior={_typed(cfg.prior)} and "
            f"posterior={_typed(cfg.posterior)}: free bits are given to each dimension, and the KL is a sum over "
            "dimensions only for prior=standard_normal with posterior=diagonal."
        )
    if cfg.batch_size < getattr(objective, "smallest_batch", 1):
        raise SettingsError(f"batch_size={cfg.batch_size}: objective={name} compares the images of a batch; take more.")
    if isinstance(objective, MMD) and objective.kl_weight == 0 and any(True for _ in vae.prior.parameters()):
        raise SettingsError(
            f"objective.kl_weight=0 with prior={_typed(cfg.prior)}: only the KL term teaches a prior; set "
            "objective.kl_weight above 0, or choose prior=standard_normal."
        )
    if vae.classes and isinstance(vae.prior, VampPrior):
        raise SettingsError(
            "prior=vamp with conditional=true: its pseudo-inputs have no label for the encoder; choose another prior."
        )


def check_processes(cfg: DictConfig, objective: Any, processes: int) -> None:
    """Raise SettingsError if the objective needs the whole batch in one process, and there are several."""
    if processes > 1 and getattr(objective, "requires_full_batch", False):
        raise SettingsError(
            f"objective={_typed(cfg.objective)} in {processes} processes: it is of a batch as a whole, and each "
            "would have a part of it; use accelerator.devices=1 and accelerator.num_nodes=1."
        )


def _typed(node: DictConfig) -> str:
    """The choice as it is typed, such as full_covariance for mnist_vae.models.posteriors.FullCovariance."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", str(node["_target_"]).rpartition(".")[2]).lower()


def _sums_over_dimensions(vae: VAE) -> bool:
    return isinstance(vae.prior, StandardNormal) and issubclass(vae.to_posterior.family, DiagonalGaussian)
