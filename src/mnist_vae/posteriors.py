"""Approximate posteriors q(z|x)."""

import math
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

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats, (images,): each image's Gaussian at its own code, z being (images, latent_dim)."""
        deviation = (z - self.mean).square() * torch.exp(-self.log_var)
        return -0.5 * (deviation + self.log_var + math.log(2 * math.pi)).sum(dim=-1)

    def log_prob_pairwise(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats of every code under every image's Gaussian, (codes, images).

        A product of matrices, which needs no (codes, images, latent_dim) array; the squares are multiplied out,
        so use float64 where Gaussians are narrow.

        Args:
            z: (codes, latent_dim).
        """
        precision = torch.exp(-self.log_var)
        quadratic = z.square() @ precision.T - 2 * z @ (self.mean * precision).T
        constant = (self.mean.square() * precision + self.log_var + math.log(2 * math.pi)).sum(dim=-1)
        return -0.5 * (quadratic + constant)
