"""Checks that the choices made in several groups fit together; each group is checked alone when it is built."""

import math
from typing import Any

from omegaconf import DictConfig

from mnist_vae.config.hparams import Choices, choice
from mnist_vae.data.binarize import Binarize
from mnist_vae.models.posteriors import GAUSSIANS, Constant, DiagonalGaussian, Ladder
from mnist_vae.models.priors import Hierarchical, StandardNormal, VampPrior
from mnist_vae.models.vae import VAE
from mnist_vae.objectives import ELBO, MMD, RAE, BetaTCVAE, Capacity, FactorVAE
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.program import as_called


def check_combination(cfg: DictConfig, choices: Choices, vae: VAE, objective: Any) -> None:
    """Raise SettingsError, with the reason, if the parts of an experiment do not fit together."""
    objective_name, likelihood, prior, posterior = (
        choice(cfg, choices, group) for group in ("objective", "likelihood", "prior", "posterior")
    )
    if vae.likelihood.grey_only and cfg.data.binarize is not Binarize.none:
        raise SettingsError(
            f"likelihood={likelihood} with data.binarize={cfg.data.binarize.name}: it is a distribution of grey "
            "levels, which pixels of 0 and 1 would drive to infinity; use data.binarize=none, or "
            "likelihood=bernoulli."
        )
    if vae.likelihood.binary_only and cfg.data.binarize is Binarize.none:
        raise SettingsError(
            f"likelihood={likelihood} with data.binarize=none: it is a distribution of pixels of 0 and 1, not of grey "
            "levels; use data.binarize=dynamic or threshold, or likelihood=bernoulli."
        )
    if cfg.beta != 1 and "beta" not in cfg.objective:
        raise SettingsError(
            f"beta={cfg.beta}: objective={objective_name} has no beta; its own weights are under objective."
        )
    if getattr(objective, "needs_kl_per_dimension", False) and not _takes_free_bits(vae):
        raise SettingsError(
            f"objective.free_bits={cfg.objective.free_bits} with prior={prior} and "
            f"posterior={posterior}: free bits are given to each dimension, and only its KL for prior=standard_normal "
            "with posterior=diagonal has a closed form, and no lower bound of its own; use these, or "
            "objective.free_bits=0."
        )
    if isinstance(objective, BetaTCVAE) and not issubclass(vae.to_posterior.family, GAUSSIANS):
        raise SettingsError(
            f"objective={objective_name} with posterior={posterior}: it needs the density of each dimension, which has "
            "a closed form only for posterior=diagonal, constant and full_covariance."
        )
    if isinstance(objective, FactorVAE) and vae.latent_dim == 1:
        raise SettingsError(
            f"latent_dim=1 with objective={objective_name}: the total correlation of one dimension is 0, whatever its "
            "weight; use latent_dim=2 or more, or objective=elbo."
        )
    if isinstance(objective, Capacity) and _least_kl(vae) > objective.capacity:
        raise SettingsError(
            f"objective.capacity={objective.capacity:g} with posterior={posterior}: with its constant variances the KL "
            f"term is at least {_least_kl(vae):.1f} nats; set objective.capacity above that, or choose "
            "posterior=diagonal."
        )
    if cfg.batch_size < getattr(objective, "min_batch_size", 1):
        raise SettingsError(
            f"batch_size={cfg.batch_size}: objective={objective_name} compares the images of a batch; take more."
        )
    learned_prior = any(True for _ in vae.prior.parameters())
    for kind, name in ((MMD, "kl_weight"), (ELBO, "beta"), (BetaTCVAE, "gamma"), (Capacity, "gamma")):
        if isinstance(objective, kind) and getattr(objective, name) == 0 and learned_prior:
            key = name if name == "beta" and cfg.beta == 0 else f"objective.{name}"
            raise SettingsError(
                f"{key}=0 with prior={prior}: only the term with this weight trains a prior; set {key} above 0, or "
                "choose prior=standard_normal."
            )
    if isinstance(objective, RAE) and learned_prior:
        raise SettingsError(
            f"objective={objective_name} with prior={prior}: its loss does not depend on the prior, which would not be "
            "trained; choose prior=standard_normal, and fit a density after training by "
            f"{as_called('python scripts/fit_prior.py')}."
        )
    if isinstance(objective, RAE) and not isinstance(vae.to_posterior, Constant):
        raise SettingsError(
            f"objective={objective_name} with posterior={posterior}: its loss depends on the mean of q(z|x) only, so "
            "nothing else of the posterior would be trained; use posterior=constant."
        )
    if choices.get("model") == "ladder" and not isinstance(vae.to_posterior, Ladder):
        others = "" if isinstance(vae.prior, Hierarchical) else "prior=hierarchical "
        raise SettingsError(
            f"model=ladder with posterior={posterior}: it is no ladder, and its network is that of model=mlp "
            f"model.hidden_dims=[512,256]; choose that, or add {others}posterior=ladder."
        )
    if isinstance(vae.prior, VampPrior) and not vae.to_posterior.density_in_one_pass:
        raise SettingsError(
            f"prior={prior} with posterior={posterior}: the density of a code under each pseudo-input's posterior "
            "would take latent_dim passes; use posterior=coupling, or another prior."
        )
    if vae.classes and isinstance(vae.prior, VampPrior):
        raise SettingsError(
            f"prior={prior} with conditional=true: its pseudo-inputs have no label for the encoder; choose another "
            "prior."
        )


def check_processes(cfg: DictConfig, choices: Choices, objective: Any, processes: int) -> None:
    """Raise SettingsError if the objective needs the whole batch in one process, and there are several."""
    if processes > 1 and getattr(objective, "requires_full_batch", False):
        raise SettingsError(
            f"objective={choice(cfg, choices, 'objective')} in {processes} processes: it needs the whole batch in one "
            "process; use accelerator.devices=1 and accelerator.num_nodes=1."
        )


def _least_kl(vae: VAE) -> float:
    """Nats below which the KL term can't fall because of constant variances; 0 where that is not known."""
    if not (isinstance(vae.to_posterior, Constant) and isinstance(vae.prior, StandardNormal)):
        return 0.0
    log_var = vae.to_posterior.log_var
    return 0.5 * vae.latent_dim * (math.exp(log_var) - 1 - log_var)


def _takes_free_bits(vae: VAE) -> bool:
    # With constant variances the KL of each dimension has a lower bound of its own.
    is_diagonal = issubclass(vae.to_posterior.family, DiagonalGaussian) and not isinstance(vae.to_posterior, Constant)
    return isinstance(vae.prior, StandardNormal) and is_diagonal
