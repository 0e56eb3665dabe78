"""Mixture-of-Gaussians prior."""

import torch
from torch import Tensor, nn

from mnist_vae.models.posteriors import DiagonalGaussian, FullGaussian, Posterior
from mnist_vae.models.priors.base import Prior, check_counts
from mnist_vae.models.priors.mixture_density import log_mixture, sample_mixture

COVARIANCES = ("diagonal", "full")


class Mixture(Prior):
    """p(z) = sum_k w_k N(mean_k, covariance_k), with learned weights, means and covariances.

    With diagonal covariances the baseline of Tomczak & Welling (2018), section 3. Initialised with unit covariances,
    equal weights and means drawn from N(0, I).

    Args:
        latent_dim: number of latent dimensions.
        components: number of Gaussians.
        covariance: `diagonal` or `full`.

    Raises:
        ValueError: a size is below 1, or the covariance is neither of these.
    """

    def __init__(self, latent_dim: int, components: int = 100, covariance: str = "diagonal") -> None:
        check_counts(latent_dim=latent_dim, components=components)
        if covariance not in COVARIANCES:
            raise ValueError(f"covariance is {covariance!r}; it must be {' or '.join(COVARIANCES)}")
        super().__init__(latent_dim)
        self.means = nn.Parameter(torch.randn(components, latent_dim))
        self.log_vars = nn.Parameter(torch.zeros(components, latent_dim))
        self.logits = nn.Parameter(torch.zeros(components))
        # Of the Cholesky factors, the entries below the diagonal, relative to the diagonal entry of their row.
        self.below: nn.Parameter | None = None
        if covariance == "full":
            self.below = nn.Parameter(torch.zeros(components, latent_dim, latent_dim))

    @property
    def components(self) -> Posterior:
        """Components of the mixture, with log-variances clamped as those of a posterior."""
        diagonal = DiagonalGaussian.from_parameters(torch.cat([self.means, self.log_vars], dim=-1))
        if self.below is None:
            return diagonal
        unit = torch.eye(self.latent_dim, dtype=self.below.dtype, device=self.below.device) + self.below.tril(-1)
        return FullGaussian(diagonal.mean, torch.exp(0.5 * diagonal.log_var).unsqueeze(-1) * unit)

    @torch.no_grad()
    def assign(self, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        """Set the mixture.

        Args:
            weights: of the components, (components,).
            means: (components, latent_dim).
            covariances: (components, latent_dim, latent_dim); of diagonal ones the variances, (components, latent_dim).
        """
        variances = covariances
        if self.below is not None:
            factors = torch.linalg.cholesky(covariances)
            scales = factors.diagonal(dim1=-2, dim2=-1)
            self.below.copy_((factors / scales.unsqueeze(-1)).tril(-1).to(self.below.dtype))
            variances = scales.square()
        self.logits.copy_(weights.log().to(self.logits.dtype))  # before it moves: some devices have no float64
        self.means.copy_(means.to(self.means.dtype))
        self.log_vars.copy_(variances.log().to(self.log_vars.dtype))

    def log_prob(self, z: Tensor) -> Tensor:
        return log_mixture(self.components, self.logits.log_softmax(dim=0), z)

    def sample(self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        return sample_mixture(self.components, self.logits.softmax(dim=0), count, generator, temperature)
