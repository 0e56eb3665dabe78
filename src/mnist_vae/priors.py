"""Priors p(z)."""

import torch
from torch import Tensor, nn

from mnist_vae.posteriors import DiagonalGaussian


class StandardNormal(nn.Module):
    """p(z) = N(0, I). Kingma & Welling (2014), section 3."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def kl_per_dimension(self, posterior: DiagonalGaussian) -> Tensor:
        """KL(q(z_j|x) || p(z_j)) in nats, (images, latent_dim): Kingma & Welling (2014), appendix B."""
        mean, log_var = posterior
        return 0.5 * (mean.square() + log_var.exp() - 1 - log_var)

    def kl(self, posterior: DiagonalGaussian) -> Tensor:
        """KL(q(z|x) || p(z)) in nats, (images,), in closed form: the sum over independent dimensions."""
        return self.kl_per_dimension(posterior).sum(dim=-1)

    def quantile(self, probability: Tensor) -> Tensor:
        """The code at each probability, dimension by dimension: the inverse of the distribution function."""
        return torch.special.ndtri(probability)

    def sample(self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        """Latent codes drawn from the prior, (count, latent_dim), on the generator's device (else the CPU).

        Args:
            temperature: scale of the standard deviation; below 1 codes keep closer to the prior's mode.
        """
        device = generator.device if generator is not None else "cpu"
        return temperature * torch.randn(count, self.latent_dim, generator=generator, device=device)
