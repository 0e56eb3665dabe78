"""Gaussian posteriors, with constant, diagonal and full covariance."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mnist_vae.models.posteriors.base import LOG_2PI, clamp

# exp(20) is 4.9e8: larger than any useful variance, and still finite after squaring and summing in float32.
MAX_LOG_VAR = 20.0


class DiagonalGaussian(NamedTuple):
    """q(z|x) = N(mean, diag(exp(log_var))), one Gaussian per image; unpacks as `mean, log_var`.

    Kingma & Welling (2014), section 3. Both tensors are (images, latent_dim).
    """

    mean: Tensor
    log_var: Tensor

    @classmethod
    def from_parameters(cls, parameters: Tensor) -> "DiagonalGaussian":
        """Split a network's output (images, 2 * latent_dim) into means and log-variances, the latter clamped to ±20."""
        mean, raw = parameters.chunk(2, dim=-1)
        return cls(mean, clamp_log_var(raw))

    def rsample(self, noise: Tensor | None = None) -> Tensor:
        """Sample by the reparameterisation z = mean + std * noise, in the shape of `noise`.

        Args:
            noise: standard normal draws, (..., images, latent_dim); if None, one per image from torch's global
                generator.
        """
        if noise is None:
            noise = torch.randn_like(self.mean)
        return self.mean + torch.exp(0.5 * self.log_var) * noise

    def rsample_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Sample z, see rsample, and compute log q(z|x) in nats, (..., images), from the draws."""
        return self.rsample(noise), -0.5 * (noise.square() + self.log_var + LOG_2PI).sum(dim=-1)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats, (..., images), of codes (..., images, latent_dim) under the Gaussian of their image."""
        deviation = (z - self.mean).square() * torch.exp(-self.log_var)
        return -0.5 * (deviation + self.log_var + LOG_2PI).sum(dim=-1)

    def log_prob_pairwise(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats of every code under every image's Gaussian, (codes, images).

        Computed by matrix products, without a (codes, images, latent_dim) array. The squares are expanded, so use
        float64 where Gaussians are narrow.

        Args:
            z: (codes, latent_dim).
        """
        precision = torch.exp(-self.log_var)
        quadratic = z.square() @ precision.T - 2 * z @ (self.mean * precision).T
        constant = (self.mean.square() * precision + self.log_var + LOG_2PI).sum(dim=-1)
        return -0.5 * (quadratic + constant)


class FullGaussian(NamedTuple):
    """q(z|x) = N(mean, scale_tril scale_trilᵀ), one Gaussian with its own covariance per image.

    Kingma & Welling (2019), "An Introduction to Variational Autoencoders", section 2.5.1. `mean` is
    (images, latent_dim), `scale_tril` (images, latent_dim, latent_dim): the covariance's Cholesky factor.
    """

    mean: Tensor
    scale_tril: Tensor

    @property
    def log_var(self) -> Tensor:
        """Logarithms of the marginal variances, (images, latent_dim)."""
        return self.scale_tril.square().sum(dim=-1).log()

    @property
    def log_det(self) -> Tensor:
        """Log-determinant of `scale_tril`, half that of the covariance, (images,)."""
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)

    def rsample(self, noise: Tensor | None = None) -> Tensor:
        """Sample by the reparameterisation z = mean + scale_tril noise, in the shape of `noise`.

        Args:
            noise: standard normal draws, (..., images, latent_dim); if None, one per image from torch's global
                generator.
        """
        if noise is None:
            noise = torch.randn_like(self.mean)
        with torch.autocast(noise.device.type, enabled=False):  # z would be rounded to half precision
            return self.mean + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def rsample_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Sample z, see rsample, and compute log q(z|x) in nats, (..., images), from the draws."""
        return self.rsample(noise), -0.5 * (noise.square() + LOG_2PI).sum(dim=-1) - self.log_det

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats, (..., images), of codes (..., images, latent_dim) under the Gaussian of their image."""
        # One linear system per image with all its codes as right-hand sides; one per code would copy the factor.
        flat = (z - self.mean).reshape(math.prod(z.shape[:-2]), *self.mean.shape).permute(1, 2, 0)
        white = torch.linalg.solve_triangular(self.scale_tril, flat, upper=False)
        quadratic = white.square().sum(dim=1).T.reshape(z.shape[:-1])
        return -0.5 * (quadratic + self.mean.shape[-1] * LOG_2PI) - self.log_det

    def log_prob_pairwise(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats of every code (codes, latent_dim) under every image's Gaussian, (codes, images)."""
        identity = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        inverse = torch.linalg.solve_triangular(self.scale_tril, identity.expand_as(self.scale_tril), upper=False)
        # An image at a time, so that no (codes, images, latent_dim) array is needed.
        with torch.autocast(z.device.type, enabled=False):
            quadratic = torch.stack(
                [((z - mean) @ factor.T).square().sum(dim=-1) for mean, factor in zip(self.mean, inverse, strict=True)],
                dim=1,
            )
        return -0.5 * (quadratic + z.shape[-1] * LOG_2PI) - self.log_det


class Diagonal(nn.Linear):
    """Linear layer to a Gaussian with diagonal covariance: Kingma & Welling (2014), section 3 and appendix C.2.

    Args:
        features: width of the encoder's output.
        latent_dim: number of latent dimensions.
    """

    family = DiagonalGaussian
    density_in_one_pass = True

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__(features, 2 * latent_dim)

    def posterior(self, features: Tensor, dtype: torch.dtype) -> DiagonalGaussian:
        """Compute q(z|x) in `dtype` from features (images, features)."""
        return DiagonalGaussian.from_parameters(self(features).to(dtype))


class Constant(nn.Linear):
    """Linear layer to a Gaussian of which all variances are the same constant, CV-VAE: Ghosh et al. (2020), section 2.

    Args:
        features: width of the encoder's output.
        latent_dim: number of latent dimensions.
        scale: the standard deviation.

    Raises:
        ValueError: the logarithm of the variance is not from -MAX_LOG_VAR to MAX_LOG_VAR.
    """

    family = DiagonalGaussian
    density_in_one_pass = True

    def __init__(self, features: int, latent_dim: int, scale: float = 0.1) -> None:
        smallest, largest = (math.exp(0.5 * bound) for bound in (-MAX_LOG_VAR, MAX_LOG_VAR))
        if not smallest <= scale <= largest:
            raise ValueError(f"scale is {scale}; it must be from {smallest:.2g} to {largest:.2g}")
        super().__init__(features, latent_dim)
        self.log_var = 2 * math.log(scale)

    def posterior(self, features: Tensor, dtype: torch.dtype) -> DiagonalGaussian:
        """Compute q(z|x) in `dtype` from features (images, features)."""
        mean = self(features).to(dtype)
        return DiagonalGaussian(mean, torch.full_like(mean, self.log_var))


class FullCovariance(nn.Linear):
    """Linear layer to a Gaussian with full covariance: Kingma & Welling (2019), section 2.5.1.

    It parameterises the Cholesky factor of the covariance: its diagonal by log-variances, as in Diagonal, and the
    entries below it relative to the diagonal entry of their row. It has
    2 * latent_dim + latent_dim * (latent_dim - 1) / 2 outputs.

    Args:
        features: width of the encoder's output.
        latent_dim: number of latent dimensions.
    """

    family = FullGaussian
    density_in_one_pass = True

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__(features, 2 * latent_dim + latent_dim * (latent_dim - 1) // 2)
        self.latent_dim = latent_dim

    def posterior(self, features: Tensor, dtype: torch.dtype) -> FullGaussian:
        """Compute q(z|x) in `dtype` from features (images, features)."""
        mean, raw, below = self(features).to(dtype).tensor_split([self.latent_dim, 2 * self.latent_dim], dim=-1)
        scale = torch.exp(0.5 * clamp_log_var(raw))
        rows, columns = torch.tril_indices(self.latent_dim, self.latent_dim, offset=-1, device=below.device)
        unit = torch.eye(self.latent_dim, dtype=dtype, device=below.device).repeat(mean.shape[0], 1, 1)
        unit[:, rows, columns] = below
        return FullGaussian(mean, scale.unsqueeze(-1) * unit)


def gaussian_kl(q: DiagonalGaussian, p: DiagonalGaussian) -> Tensor:
    """KL(q || p) of each dimension in nats, in the shape of their tensors."""
    deviation = (q.mean - p.mean).square() * torch.exp(-p.log_var)
    return 0.5 * (torch.exp(q.log_var - p.log_var) + deviation - 1 + p.log_var - q.log_var)


def clamp_log_var(raw: Tensor) -> Tensor:
    """Clamp log-variances to ±MAX_LOG_VAR; see base.clamp."""
    return clamp(raw, -MAX_LOG_VAR, MAX_LOG_VAR)
