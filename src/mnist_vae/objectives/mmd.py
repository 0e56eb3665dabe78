"""Maximum mean discrepancy between aggregate posterior and prior, instead of or in addition to the KL term."""

import torch
from torch import Tensor

from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms, check_numbers
from mnist_vae.utils.seeding import Noise

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class MMD:
    """Reconstruction + kl_weight * KL + mmd_weight * MMD²(q(z), p(z)).

    InfoVAE: Zhao et al. (2019), section 3, with kl_weight = 1 - α and mmd_weight = α + λ - 1. With kl_weight = 0 it is
    WAE-MMD with a random encoder: Tolstikhin et al. (2018), section 2 and algorithm 2.

    Samples of the prior carry no gradient, so with kl_weight = 0 the parameters of a prior are not trained.

    Args:
        mmd_weight: weight of the squared discrepancy, which is dimensionless and at most 2 * 7.
        kl_weight: weight of KL(q(z|x) || p(z)).

    Raises:
        ValueError: a weight is negative, infinite or NaN.
    """

    requires_full_batch = True
    min_batch_size = 2

    def __init__(self, mmd_weight: float, kl_weight: float = 0.0) -> None:
        check_numbers(mmd_weight=mmd_weight, kl_weight=kl_weight)
        self.mmd_weight, self.kl_weight = mmd_weight, kl_weight

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """Compute the terms of images x (images, channels, height, width)."""
        posterior, z, log_likelihood, log_q = vae.infer(x, noise, labels=labels)
        kl = vae.prior.kl(posterior, z, log_q)
        # From the generator of the batch's noise, so that they are reproducible.
        prior_z = vae.prior.sample(len(z), noise.generator).to(z)
        return Terms(self.kl_weight * kl + self.mmd_weight * mmd(z, prior_z) - log_likelihood, -log_likelihood, kl)


def mmd(x: Tensor, y: Tensor) -> Tensor:
    """Unbiased estimate of the squared maximum mean discrepancy of two samples, (n, latent_dim) each.

    Gretton et al. (2012), equation 3, as in Tolstikhin et al. (2018), algorithm 2, with their kernel. It is not defined
    for n = 1, where 0 is returned.
    """
    n = len(x)
    if n < 2:
        return x.new_zeros(())
    # Without the diagonal, on which the kernel is len(SCALES).
    within = [(imq_kernel(each, each).sum() - len(SCALES) * n) / (n * (n - 1)) for each in (x, y)]
    return within[0] + within[1] - 2 * imq_kernel(x, y).mean()


def imq_kernel(x: Tensor, y: Tensor) -> Tensor:
    """Inverse multiquadratic kernel, summed over SCALES, of every pair of x (n, latent_dim) and y (m, latent_dim).

    Σ C/(C + |x - y|²) with C = scale * 2 * latent_dim: Tolstikhin et al. (2018), section 4; the scales are
    those of their code.

    Returns:
        (n, m), in (0, 7].
    """
    squared = (x[:, None] - y).square().sum(dim=-1)
    sizes = [scale * 2 * x.shape[-1] for scale in SCALES]
    return torch.stack([size / (size + squared) for size in sizes]).sum(dim=0)
