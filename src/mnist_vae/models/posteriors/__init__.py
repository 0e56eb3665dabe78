"""Approximate posteriors q(z|x): distribution families, and the layers that compute their parameters from features.

A family is a named tuple of tensors of shape (images, ...), and of modules where a flow or a prior takes part in the
sampling, so that `mapped` can move or index all of its tensors. It has

- `mean` and `log_var`, (images, latent_dim);
- `rsample(noise)` and `rsample_and_log_prob(noise)`, reparameterised samples of standard normal draws;
- `log_prob(z)`, and `log_prob_pairwise(z)` of every code under every image's distribution.

A layer computes a family's parameters, by `posterior(features, dtype)`. It names its `family`, and its
`density_in_one_pass` says whether log_prob costs no more than a sample does.
"""

from typing import TypeAlias

from mnist_vae.models.posteriors.base import LOG_2PI, concatenated, detached, mapped
from mnist_vae.models.posteriors.flow import Coupling, FlowPosterior, InverseAutoregressive
from mnist_vae.models.posteriors.gaussian import Constant, Diagonal, DiagonalGaussian, FullCovariance, FullGaussian
from mnist_vae.models.posteriors.ladder import Ladder, LadderPosterior

Posterior: TypeAlias = DiagonalGaussian | FullGaussian | FlowPosterior | LadderPosterior
GAUSSIANS = (DiagonalGaussian, FullGaussian)  # whose variances, and densities of each dimension, have a closed form
PosteriorLayer: TypeAlias = Constant | Diagonal | FullCovariance | Coupling | InverseAutoregressive | Ladder

__all__ = [
    "GAUSSIANS",
    "LOG_2PI",
    "Constant",
    "Coupling",
    "Diagonal",
    "DiagonalGaussian",
    "FlowPosterior",
    "FullCovariance",
    "FullGaussian",
    "InverseAutoregressive",
    "Ladder",
    "LadderPosterior",
    "Posterior",
    "PosteriorLayer",
    "concatenated",
    "detached",
    "mapped",
]
