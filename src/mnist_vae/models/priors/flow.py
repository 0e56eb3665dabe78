"""Normalising-flow prior."""

import torch
from torch import Tensor

from mnist_vae.models.flows import AffineCoupling, AffineFlow, alternating_mask
from mnist_vae.models.priors.base import Prior, check_counts
from mnist_vae.models.priors.standard_normal import StandardNormal


class Flow(Prior):
    """p(z) = N(f(z); 0, I) |det df/dz|, f being affine coupling layers: Dinh et al. (2017), "Real NVP", equations 3-9.

    Initialised as N(0, I). As the prior of a VAE: Huang et al. (2017), "Learnable explicit density".

    Args:
        latent_dim: number of latent dimensions, at least 2.
        layers: number of coupling layers. Each transforms half of the dimensions, so two or more transform all.
        hidden_dim: width of the two hidden layers of each coupling layer's network.

    Raises:
        ValueError: a size is below 1, or latent_dim is 1.
    """

    def __init__(self, latent_dim: int, layers: int = 6, hidden_dim: int = 128) -> None:
        check_counts(latent_dim=latent_dim, layers=layers, hidden_dim=hidden_dim)
        if latent_dim < 2:
            raise ValueError(f"latent_dim is {latent_dim}; a coupling flow needs 2 or more")
        super().__init__(latent_dim)
        self.base = StandardNormal(latent_dim)
        self.couplings = AffineFlow(AffineCoupling(alternating_mask(i, latent_dim), hidden_dim) for i in range(layers))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f(z), (..., latent_dim), and log|det df/dz|, (...), of codes (..., latent_dim)."""
        transformed: tuple[Tensor, Tensor] = self.couplings(z)
        return transformed

    def inverse(self, base: Tensor) -> Tensor:
        """Compute the codes z for which f(z) = `base`, (..., latent_dim)."""
        return self.couplings.inverse(base)[0]

    def log_prob(self, z: Tensor) -> Tensor:
        # In half precision the rounding error of the last layers' shifts could exceed the width of a narrow posterior.
        with torch.autocast(z.device.type, enabled=False):
            base, log_det = self(z.to(self._dtype_and_device))
            return (self.base.log_prob(base) + log_det).to(z.dtype)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        base = self.base.sample(count, generator, temperature).to(self._dtype_and_device)
        with torch.autocast(base.device.type, enabled=False):
            return self.inverse(base)

    @property
    def _dtype_and_device(self) -> Tensor:
        return next(self.parameters())
