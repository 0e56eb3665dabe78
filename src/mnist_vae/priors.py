"""Priors p(z)."""

import torch
from torch import Tensor, nn

from mnist_vae.posteriors import DiagonalGaussian


class StandardNormal(nn.Module):
    """p(z) = N(0, I). Kingma & Welling (2014), section 3."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def kl(self, posterior: DiagonalGaussian) -> Tensor:
        """KL(q(z|x) || p(z)) in nats, (images,): the closed form of Kingma & Welling (2014), appendix B."""
        mean, log_var = posterior
        return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(dim=-1)

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Latent codes drawn from the prior, (count, latent_dim), on the generator's device (else the CPU)."""
        device = generator.device if generator is not None else "cpu"
        return torch.randn(count, self.latent_dim, generator=generator, device=device)
