"""What is reported about a trained VAE, the same for every objective."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mnist_vae.posteriors import DiagonalGaussian

PAIRS = 5_000_000  # of codes and images at once: 40 MB in float64


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


def active_dimensions(means: Tensor, threshold: float = 0.01) -> Tensor:
    """Whether each latent dimension is active: its posterior mean moves with the image.

    Burda et al. (2016), section 5.2 and appendix C: the variance of the mean over images is above `threshold`.

    Args:
        means: posterior means, (images, latent_dim).

    Returns:
        (latent_dim,) bool.
    """
    return means.double().var(dim=0) > threshold


def active_units(means: Tensor) -> int:
    """How many latent dimensions are active; see `active_dimensions`."""
    return int(active_dimensions(means).sum())


def mutual_information(posterior: DiagonalGaussian, z: Tensor) -> Tensor:
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
    wide = DiagonalGaussian(posterior.mean.double(), posterior.log_var.double())
    rows = max(1, PAIRS // len(z))
    log_mixture = [wide.log_prob_pairwise(part).logsumexp(dim=1) for part in z.double().split(rows)]
    return wide.log_prob(z.double()) - (torch.cat(log_mixture) - math.log(len(z)))
