"""Mixture-of-Gaussians prior."""

import torch
from torch import Tensor, nn

from mnist_vae.models.posteriors import DiagonalGaussian
from mnist_vae.models.priors.base import Prior, check_counts
from mnist_vae.models.priors.mixture_density import log_mixture, sample_mixture


class Mixture(Prior):
    """p(z) = sum_k w_k N(mean_k, diag(var_k)), with learned weights, means and variances.

    The baseline of Tomczak & Welling (2018), section 3. Initialised with unit variances, equal weights and means drawn
    from N(0, I).

    Args:
        latent_dim: number of latent dimensions.
        components: number of Gaussians.

    Raises:
        ValueError: a size is below 1.
    """

    def __init__(self, latent_dim: int, components: int = 100) -> None:
        check_counts(latent_dim=latent_dim, components=components)
        super().__init__(latent_dim)
        self.means = nn.Parameter(torch.randn(components, latent_dim))
        self.log_vars = nn.Parameter(torch.zeros(components, latent_dim))
        self.logits = nn.Parameter(torch.zeros(components))

    @property
    def components(self) -> DiagonalGaussian:
        """Components of the mixture, with log-variances clamped as those of a posterior."""
        return DiagonalGaussian.from_parameters(torch.cat([self.means, self.log_vars], dim=-1))

    def log_prob(self, z: Tensor) -> Tensor:
        return log_mixture(self.components, self.logits.log_softmax(dim=0), z)

    def sample(self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        return sample_mixture(self.components, self.logits.softmax(dim=0), count, generator, temperature)
