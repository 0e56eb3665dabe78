"""The evidence lower bound, with a weight on its KL term."""

import torch
from torch import Tensor

from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms, check_numbers
from mnist_vae.utils.seeding import Noise


class ELBO:
    """The negative evidence lower bound: reconstruction + beta * KL.

    Kingma & Welling (2014), equation 3, for beta = 1; Higgins et al. (2017), equation 4, otherwise.

    Args:
        beta: weight of the KL term, at least 0.
        warmup_epochs: beta rises linearly from 0 to its value over these epochs, step by step; 0 for none.
            Bowman et al. (2016), section 3.1; Sønderby et al. (2016).
        cycle_epochs: the warm-up begins again every so many epochs; 0 for once. Fu et al. (2019), section 3.
        free_bits: nats that each latent dimension may carry for nothing: its KL, averaged over the batch, counts
            as at least that. Kingma et al. (2016), appendix C.8, a group being a dimension.

    Raises:
        ValueError: an argument is negative, infinite or NaN, or a cycle is shorter than its warm-up.
    """

    def __init__(
        self, beta: float = 1.0, warmup_epochs: float = 0.0, cycle_epochs: float = 0.0, free_bits: float = 0.0
    ) -> None:
        check_numbers(beta=beta, warmup_epochs=warmup_epochs, cycle_epochs=cycle_epochs, free_bits=free_bits)
        if 0 < cycle_epochs < max(warmup_epochs, 1e-9) or (cycle_epochs and not warmup_epochs):
            raise ValueError(
                f"cycle_epochs is {cycle_epochs}; a cycle starts with a warm-up, so warmup_epochs must be above 0 "
                f"and at most that, and it is {warmup_epochs}"
            )
        self.beta = beta
        self.warmup_epochs = warmup_epochs
        self.cycle_epochs = cycle_epochs
        self.free_bits = free_bits
        self.requires_full_batch = self.needs_kl_per_dimension = free_bits > 0

    def beta_at(self, epoch: float) -> float:
        """The weight of the KL term after `epoch` epochs (fractions count)."""
        if self.cycle_epochs:
            epoch %= self.cycle_epochs
        if epoch >= self.warmup_epochs:
            return self.beta
        return self.beta * epoch / self.warmup_epochs

    def schedule_values(self, epoch: float) -> dict[str, float]:
        """What is logged of the schedule, by name."""
        return {"beta": self.beta_at(epoch)}

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """The terms for images x (n, channels, height, width) after `epoch` epochs of training."""
        posterior, z, log_likelihood = vae.infer(x, noise, labels=labels)
        reconstruction, kl = -log_likelihood, vae.prior.kl(posterior, z)
        rate = kl
        if self.free_bits:
            per_dimension = vae.prior.kl_per_dimension(posterior)
            assert per_dimension is not None  # checked when the experiment was assembled
            rate = torch.clamp(per_dimension.mean(dim=0), min=self.free_bits).sum().expand_as(kl)
        return Terms(reconstruction + self.beta_at(epoch) * rate, reconstruction, kl)
