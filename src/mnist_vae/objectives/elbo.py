"""Evidence lower bound with a weighted KL term (beta-VAE)."""

import torch
from torch import Tensor

from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms, check_numbers
from mnist_vae.utils.seeding import Noise


class ELBO:
    """Negative evidence lower bound with weighted KL term: reconstruction + beta * KL.

    Kingma & Welling (2014), equation 3, for beta = 1; Higgins et al. (2017), equation 4, otherwise.

    Args:
        beta: weight of the KL term, at least 0.
        warmup_epochs: number of epochs over which the weight increases linearly from 0 to beta, step by step; 0 for
            no warm-up. Bowman et al. (2016), section 3.1; Sønderby et al. (2016).
        cycle_epochs: period in epochs after which the warm-up is repeated; 0 for a single warm-up. Fu et al. (2019),
            "Cyclical Annealing Schedule".
        free_bits: lower bound in nats on each latent dimension's KL, averaged over the batch; below it, the KL of the
            dimension has no gradient. Kingma et al. (2016), appendix C.8, with one dimension per group.

    Raises:
        ValueError: an argument is negative, infinite or NaN, or cycle_epochs is set without a warm-up or to less than
            warmup_epochs.
    """

    def __init__(
        self, beta: float = 1.0, warmup_epochs: float = 0.0, cycle_epochs: float = 0.0, free_bits: float = 0.0
    ) -> None:
        check_numbers(beta=beta, warmup_epochs=warmup_epochs, cycle_epochs=cycle_epochs, free_bits=free_bits)
        if 0 < cycle_epochs < max(warmup_epochs, 1e-9) or (cycle_epochs and not warmup_epochs):
            raise ValueError(
                f"cycle_epochs is {cycle_epochs}; a cycle starts with a warm-up, so warmup_epochs must be above 0 "
                f"and at most cycle_epochs, but it is {warmup_epochs}"
            )
        self.beta = beta
        self.warmup_epochs = warmup_epochs
        self.cycle_epochs = cycle_epochs
        self.free_bits = free_bits
        self.requires_full_batch = self.needs_kl_per_dimension = free_bits > 0

    def beta_at(self, epoch: float) -> float:
        """Weight of the KL term after `epoch` epochs, which may be fractional."""
        if self.cycle_epochs:
            epoch %= self.cycle_epochs
        if epoch >= self.warmup_epochs:
            return self.beta
        return self.beta * epoch / self.warmup_epochs

    def schedule_values(self, epoch: float) -> dict[str, float]:
        """Current value of beta, by name, for logging."""
        return {"beta": self.beta_at(epoch)}

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """Compute the terms of images x (images, channels, height, width) after `epoch` epochs of training."""
        posterior, z, log_likelihood, log_q = vae.infer(x, noise, labels=labels)
        reconstruction, kl = -log_likelihood, vae.prior.kl(posterior, z, log_q)
        rate = kl
        if self.free_bits:
            per_dimension = vae.prior.kl_per_dimension(posterior)
            assert per_dimension is not None  # needs_kl_per_dimension is checked before training
            rate = torch.clamp(per_dimension.mean(dim=0), min=self.free_bits).sum().expand_as(kl)
        return Terms(reconstruction + self.beta_at(epoch) * rate, reconstruction, kl)
