"""Priors p(z), one file each."""

from mnist_vae.models.priors.base import Prior
from mnist_vae.models.priors.flow import Flow
from mnist_vae.models.priors.hierarchical import Hierarchical
from mnist_vae.models.priors.mixture import Mixture
from mnist_vae.models.priors.standard_normal import StandardNormal
from mnist_vae.models.priors.vamp import VampPrior

__all__ = ["Flow", "Hierarchical", "Mixture", "Prior", "StandardNormal", "VampPrior"]
