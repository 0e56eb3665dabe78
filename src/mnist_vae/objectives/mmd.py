"""Maximum mean discrepancy between codes and the prior in place of the KL term, or beside it."""

import torch
from torch import Tensor

from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms, check_numbers
from mnist_vae.utils.seeding import Noise

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class MMD:
    """Reconstruction + kl_weight * KL + mmd_weight * MMD²(q(z), p(z)).

    InfoVAE: Zhao et al. (2019), section 3, with kl_weight = 1 - α and mmd_weight = α + λ - 1; without a KL it is
    WAE-MMD with a random encoder: Tolstikhin et al. (2018), section 2 and algorithm 2.

    The prior's draws carry no gradient, so without a KL a prior that has parameters is not learned.

    Args:
        mmd_weight: of the squared discrepancy, which is at most 2 * 7 and has no unit.
        kl_weight: of KL(q(z|x) || p(z)).

    Raises:
        ValueError: a weight is negative, infinite or NaN.
    """

    requires_full_batch = True
    smallest_batch = 2

    def __init__(self, mmd_weight: float, kl_weight: float = 0.0) -> None:
        check_numbers(mmd_weight=mmd_weight, kl_weight=kl_weight)
        self.mmd_weight, self.kl_weight = mmd_weight, kl_weight

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """The terms for images x (n, channels, height, width)."""
        posterior, z, log_likelihood = vae.infer(x, noise, labels=labels)
        kl = vae.prior.kl(posterior, z)
        # The prior's draws are of the batch's own noise: repeatable, and of q(z)'s number.
        drawn = vae.prior.sample(len(z), noise.generator).to(z)
        return Terms(self.kl_weight * kl + self.mmd_weight * mmd(z, drawn) - log_likelihood, -log_likelihood, kl)


def mmd(one: Tensor, other: Tensor) -> Tensor:
    """The unbiased estimate of the squared maximum mean discrepancy of two samples, (n, latent_dim) each.

    Gretton et al. (2012), equation 3, as in Tolstikhin et al. (2018), algorithm 2, and with their kernel: inverse
    multiquadratics of several scales, Σ C/(C + |a - b|²), C = scale * 2 * latent_dim. A sample of one has none: 0.
    """
    count = len(one)
    if count < 2:
        return one.new_zeros(())
    within = [(kernel(each, each).sum() - len(SCALES) * count) / (count * (count - 1)) for each in (one, other)]
    return within[0] + within[1] - 2 * kernel(one, other).mean()


def kernel(one: Tensor, other: Tensor) -> Tensor:
    """The kernel of every pair, (n, m), in (0, 7]: 1 for each of seven scales where two codes are the same."""
    squared = (one[:, None] - other).square().sum(dim=-1)
    sizes = [scale * 2 * one.shape[-1] for scale in SCALES]
    return torch.stack([size / (size + squared) for size in sizes]).sum(dim=0)
