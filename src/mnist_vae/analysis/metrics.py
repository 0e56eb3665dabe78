"""What is reported about a trained VAE, the same for every objective."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mnist_vae.models.posteriors import LOG_2PI, Posterior, mapped

PAIRS = 5_000_000  # of codes and images at once: 40 MB in float64
ACTIVE_VARIANCE = 0.01  # of a dimension's posterior means over images: Burda et al. (2016), appendix C


class Estimate(NamedTuple):
    """A mean over images, and how far it would scatter over other test sets of that size."""

    mean: float
    standard_error: float

    @classmethod
    def of(cls, values: Tensor) -> "Estimate":
        """Of one value per image, (images,). The standard error is NaN for a single one."""
        values = values.double()
        return cls(values.mean().item(), values.std().item() / math.sqrt(len(values)))


def elbo(reconstruction: float, kl: float) -> float:
    """The evidence lower bound in nats per image (beta = 1), from the means of its two terms."""
    return -(reconstruction + kl)


def active_dimensions(means: Tensor, threshold: float = ACTIVE_VARIANCE) -> Tensor:
    """Whether each latent dimension is active: its posterior mean moves with the image.

    Burda et al. (2016), section 5.2 and appendix C: the variance of the mean over images is above `threshold`.

    Args:
        means: posterior means, (images, latent_dim).

    Returns:
        (latent_dim,) bool.
    """
    return means.double().var(dim=0, correction=0) > threshold


def active_units(means: Tensor) -> int:
    """How many latent dimensions are active; see `active_dimensions`."""
    return int(active_dimensions(means).sum())


def mutual_information(posterior: Posterior, z: Tensor) -> Tensor:
    """I(x; z) between the images of a set of n and their codes, in nats, as one value per image: its mean estimates it.

    With q(z) the mean of the n posteriors, the mean KL is exactly I(x; z) + KL(q(z) || p(z)), the second term being
    the marginal KL: Hoffman & Johnson (2016), "ELBO surgery". An image is known by its index, so I(x; z) is at most
    log n however much the codes tell.

    Args:
        posterior: q(z|x) of the n images.
        z: one draw from each, (n, latent_dim).

    Returns:
        log q(z|x) - log q(z), (n,) float64.
    """
    wide = mapped(posterior, Tensor.double)
    rows = max(1, PAIRS // len(z))
    log_mixture = [wide.log_prob_pairwise(part).logsumexp(dim=1) for part in z.double().split(rows)]
    return wide.log_prob(z.double()) - (torch.cat(log_mixture) - math.log(len(z)))


def total_correlation(posterior: Posterior, z: Tensor) -> Tensor:
    """KL(q(z) || Π q(z_j)) in nats, how far the dimensions of the code are from independent, as one value per code.

    The second of the mean KL's three parts: Chen et al. (2018), equation 2, with q(z) the mean of the n posteriors.
    Since z is drawn from one of them, it is overestimated where codes tell nearly all of log n.

    Args:
        posterior: q(z|x) of the n images.
        z: one draw from each, or from the first of them, (codes, latent_dim).

    Returns:
        log q(z) - Σ_j log q(z_j), (codes,) float64: its mean estimates it.
    """
    wide, z = mapped(posterior, Tensor.double), z.double()
    images = len(posterior.mean)
    joint, marginals = [], []
    for part in z.split(max(1, PAIRS // images)):
        joint.append(wide.log_prob_pairwise(part).logsumexp(dim=1) - math.log(images))
        marginals.append(torch.stack([_marginal(wide, part, j) for j in range(z.shape[1])]).sum(dim=0))
    return torch.cat(joint) - torch.cat(marginals)


def _marginal(posterior: Posterior, z: Tensor, dimension: int) -> Tensor:
    """log q(z_j) in nats of codes (codes, latent_dim), (codes,)."""
    mean, log_var = posterior.mean[:, dimension], posterior.log_var[:, dimension]
    density = (z[:, dimension, None] - mean).square_().mul_(-0.5 * torch.exp(-log_var)).sub_(0.5 * (log_var + LOG_2PI))
    return density.logsumexp(dim=1) - math.log(len(mean))
