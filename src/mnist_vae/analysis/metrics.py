"""Evaluation metrics of a VAE, with the same definitions for every objective."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mnist_vae.models.posteriors import LOG_2PI, Posterior, mapped

MAX_PAIRS = 5_000_000  # of codes and images at once: 40 MB in float64
ACTIVE_VARIANCE = 0.01  # variance of posterior means over images: Burda et al. (2016), appendix C


class Estimate(NamedTuple):
    """Mean over images and its standard error."""

    mean: float
    standard_error: float

    @classmethod
    def of(cls, values: Tensor) -> "Estimate":
        """Estimate from one value per image, (images,). The standard error is NaN for a single image."""
        values = values.double()
        return cls(values.mean().item(), values.std().item() / math.sqrt(len(values)))


def elbo(reconstruction: float, kl: float) -> float:
    """Evidence lower bound in nats per image (beta = 1), from the means of its two terms."""
    return -(reconstruction + kl)


def active_dimensions(means: Tensor, threshold: float = ACTIVE_VARIANCE) -> Tensor:
    """Determine which latent dimensions are active: Burda et al. (2016), section 5.2 and appendix C.

    Args:
        means: posterior means, (images, latent_dim).
        threshold: a dimension is active if the variance of its posterior means over images is larger.

    Returns:
        (latent_dim,) bool.
    """
    return means.double().var(dim=0, correction=0) > threshold


def active_units(means: Tensor) -> int:
    """Number of active latent dimensions; see `active_dimensions`."""
    return int(active_dimensions(means).sum())


def mutual_information(posterior: Posterior, z: Tensor) -> Tensor:
    """Mutual information I(x; z) between the indices of n images and their codes, in nats.

    With q(z) the mean of the n posteriors, the mean KL is exactly I(x; z) + KL(q(z) || p(z)), the second term being
    the marginal KL: Hoffman & Johnson (2016), "ELBO surgery". I(x; z) is at most log n.

    Args:
        posterior: q(z|x) of the n images.
        z: one sample of each posterior, (n, latent_dim).

    Returns:
        log q(z|x) - log q(z), (n,) float64; its mean estimates I(x; z).
    """
    double = mapped(posterior, Tensor.double)
    rows = max(1, MAX_PAIRS // len(z))
    log_mixture = [double.log_prob_pairwise(part).logsumexp(dim=1) for part in z.double().split(rows)]
    return double.log_prob(z.double()) - (torch.cat(log_mixture) - math.log(len(z)))


def total_correlation(posterior: Posterior, z: Tensor) -> Tensor:
    """Total correlation KL(q(z) || Π q(z_j)) of the latent dimensions, in nats.

    The second of the three parts of the mean KL: Chen et al. (2018), equation 2, with q(z) the mean of the n
    posteriors. Since each z is sampled from one of them, it is overestimated where I(x; z) is close to log n.

    Args:
        posterior: q(z|x) of the n images.
        z: one sample of each posterior, or of the first ones, (codes, latent_dim).

    Returns:
        log q(z) - Σ_j log q(z_j), (codes,) float64; its mean estimates the total correlation.
    """
    double, z = mapped(posterior, Tensor.double), z.double()
    images = len(posterior.mean)
    joint, marginals = [], []
    for part in z.split(max(1, MAX_PAIRS // images)):
        joint.append(double.log_prob_pairwise(part).logsumexp(dim=1) - math.log(images))
        marginals.append(torch.stack([_log_marginal(double, part, j) for j in range(z.shape[1])]).sum(dim=0))
    return torch.cat(joint) - torch.cat(marginals)


def _log_marginal(posterior: Posterior, z: Tensor, dimension: int) -> Tensor:
    """log q(z_j) in nats of codes (codes, latent_dim) for j = `dimension`, (codes,)."""
    mean, log_var = posterior.mean[:, dimension], posterior.log_var[:, dimension]
    log_density = (
        (z[:, dimension, None] - mean).square_().mul_(-0.5 * torch.exp(-log_var)).sub_(0.5 * (log_var + LOG_2PI))
    )
    return log_density.logsumexp(dim=1) - math.log(len(mean))
