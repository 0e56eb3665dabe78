"""Evaluation metrics of a VAE, with the same definitions for every objective."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from mnist_vae.models.posteriors import LOG_2PI, Posterior, mapped

MAX_PAIRS = 5_000_000  # of codes and images at once: 40 MB in float64
ACTIVE_VARIANCE = 0.01  # variance of posterior means over images: Burda et al. (2016), section 5.2


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
    """Determine which latent dimensions are active: Burda et al. (2016), section 5.2.

    The variances of active and inactive dimensions differ by orders of magnitude (appendix C there), so the threshold
    hardly matters.

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


class Bracket(NamedTuple):
    """Two estimates of the same quantity, one value per image each, whose means are biased in opposite directions.

    In expectation over the images, mean(lower) <= quantity <= mean(upper).
    """

    lower: Tensor
    upper: Tensor


def log_aggregate(posterior: Posterior, z: Tensor) -> Bracket:
    """Bracket log q(z) in nats, q(z) being the mean of q(z|x) over the distribution of images, of which n are given.

    The upper end is the mean of all n posteriors, that from which z was drawn included. Where posteriors hardly overlap
    it dominates, and the estimate is log q(z|x) - log n whatever q(z) is. The lower end leaves it out. Both means are
    unbiased estimates of the density q. The other posteriors are independent of z, so the logarithm of theirs is too
    low at z in expectation, by Jensen's inequality; the mean of log q over q itself, which is convex in q, is too high.
    Poole et al. (2019), "On Variational Bounds of Mutual Information", bound I(x; z) by both.

    Args:
        posterior: q(z|x) of the n images.
        z: one sample of each posterior, or of the first ones, (codes, latent_dim).

    Returns:
        Two tensors (codes,) float64; the lower is -inf for n = 1.
    """
    return _bracketed(z, len(posterior.mean), mapped(posterior, Tensor.double).log_prob_pairwise)


def mutual_information(posterior: Posterior, z: Tensor) -> Bracket:
    """Bracket the mutual information I(x; z) of images and their codes, in nats.

    The mean KL is exactly I(x; z) + KL(q(z) || p(z)), the second term being the marginal KL: Hoffman & Johnson (2016),
    "ELBO surgery". So I(x; z) is at most the mean KL. The lower end is at most log n.

    Args:
        posterior: q(z|x) of n images.
        z: one sample of each posterior, or of the first ones, (codes, latent_dim).

    Returns:
        log q(z|x) - log q(z), (codes,) float64 each; see `log_aggregate`.
    """
    log_posterior = mapped(posterior, lambda part: part[: len(z)].double()).log_prob(z.double())
    aggregate = log_aggregate(posterior, z)
    return Bracket(log_posterior - aggregate.upper, log_posterior - aggregate.lower)


def marginal_kl(kl: Tensor, information: Bracket) -> Bracket:
    """Bracket the marginal KL, KL(q(z) || p(z)), in nats: the mean KL less the mutual information.

    Args:
        kl: KL(q(z|x) || p(z)) of the n images, (n,).
        information: see `mutual_information`.
    """
    return Bracket(kl - information.upper, kl - information.lower)


def total_correlation(posterior: Posterior, z: Tensor) -> Bracket:
    """Bracket the total correlation KL(q(z) || Π q(z_j)) of the latent dimensions, in nats.

    The second of the three parts of the mean KL: Chen et al. (2018), equation 2. Each end takes the opposite ends for
    q(z_j), of which the two differ little: in one dimension many posteriors overlap.

    Args:
        posterior: q(z|x) of n images.
        z: one sample of each posterior, or of the first ones, (codes, latent_dim).

    Returns:
        log q(z) - Σ_j log q(z_j), (codes,) float64 each; see `log_aggregate`.
    """
    double = mapped(posterior, Tensor.double)
    images = len(posterior.mean)
    joint = log_aggregate(posterior, z)
    marginals = [
        _bracketed(z[:, j, None], images, partial(_log_prob_of_dimension, double, dimension=j))
        for j in range(z.shape[1])
    ]
    lower, upper = (torch.stack(ends).sum(dim=0) for ends in zip(*marginals, strict=True))
    return Bracket(joint.lower - upper, joint.upper - lower)


def _bracketed(z: Tensor, images: int, log_prob_pairwise: Callable[[Tensor], Tensor]) -> Bracket:
    """`log_aggregate` by a function from codes (codes, dimensions) to log q(z|x), (codes, images)."""
    lower, upper = [], []
    rows = max(1, MAX_PAIRS // images)
    for first in range(0, len(z), rows):
        log_prob = log_prob_pairwise(z[first : first + rows].double())
        own = log_prob.diagonal(first).clone()
        log_prob.diagonal(first).fill_(-math.inf)
        others = log_prob.logsumexp(dim=1)
        lower.append(others - math.log(max(1, images - 1)))
        upper.append(torch.logaddexp(others, own) - math.log(images))
    return Bracket(torch.cat(lower), torch.cat(upper))


def _log_prob_of_dimension(posterior: Posterior, z: Tensor, dimension: int) -> Tensor:
    """log q(z_j|x) in nats of codes (codes, 1) under every image's posterior, for j = `dimension`, (codes, images)."""
    mean, log_var = posterior.mean[:, dimension], posterior.log_var[:, dimension]
    return (z - mean).square_().mul_(-0.5 * torch.exp(-log_var)).sub_(0.5 * (log_var + LOG_2PI))
