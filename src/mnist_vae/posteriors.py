"""Approximate posteriors q(z|x)."""

from typing import NamedTuple

import torch
from torch import Tensor

# exp(20) is 4.9e8: far beyond any useful variance, and still finite after squaring and summing in float32.
MAX_LOG_VAR = 20.0


class DiagonalGaussian(NamedTuple):
    """q(z|x) = N(mean, diag(exp(log_var))), one Gaussian per image; unpacks as `mean, log_var`.

    Kingma & Welling (2014), section 3. Both tensors are (images, latent_dim).
    """

    mean: Tensor
    log_var: Tensor

    @classmethod
    def from_parameters(cls, parameters: Tensor) -> "DiagonalGaussian":
        """From a network's output (images, 2 * latent_dim): means, then log-variances kept within ±20.

        The bound passes gradients straight through, so that a log-variance beyond it is still pulled back.
        """
        mean, raw = parameters.chunk(2, dim=-1)
        log_var = raw + (raw.clamp(-MAX_LOG_VAR, MAX_LOG_VAR) - raw).detach()
        return cls(mean, log_var)

    def rsample(self, noise: Tensor | None = None) -> Tensor:
        """One draw per image, (images, latent_dim), by the reparameterisation z = mean + std * noise.

        Args:
            noise: standard normal draws of the same shape; drawn from torch's global generator if None.
        """
        if noise is None:
            noise = torch.randn_like(self.mean)
        return self.mean + torch.exp(0.5 * self.log_var) * noise
