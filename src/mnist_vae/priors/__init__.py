"""Priors p(z), one file each."""

from mnist_vae.priors.base import Prior
from mnist_vae.priors.flow import Flow
from mnist_vae.priors.mixture import Mixture
from mnist_vae.priors.standard_normal import StandardNormal
from mnist_vae.priors.vamp import Vamp

__all__ = ["Flow", "Mixture", "Prior", "StandardNormal", "Vamp"]
