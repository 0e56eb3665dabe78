"""Approximate posteriors q(z|x): the families, and the layers that give them from an encoder's features.

A family is a named tuple of tensors that have the images first, so `mapped` can move or select any of them.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

# exp(20) is 4.9e8: far beyond any useful variance, and still finite after squaring and summing in float32.
MAX_LOG_VAR = 20.0
LOG_2PI = math.log(2 * math.pi)


class DiagonalGaussian(NamedTuple):
    """q(z|x) = N(mean, diag(exp(log_var))), one Gaussian per image; unpacks as `mean, log_var`.

    Kingma & Welling (2014), section 3. Both tensors are (images, latent_dim).
    """

    mean: Tensor
    log_var: Tensor

    @classmethod
    def from_parameters(cls, parameters: Tensor) -> "DiagonalGaussian":
        """From a network's output (images, 2 * latent_dim): means, then log-variances kept within ±20."""
        mean, raw = parameters.chunk(2, dim=-1)
        return cls(mean, _bounded(raw))

    def rsample(self, noise: Tensor | None = None) -> Tensor:
        """Draws by the reparameterisation z = mean + std * noise, of the noise's shape.

        Args:
            noise: standard normal draws, (..., images, latent_dim); one per image, drawn from torch's global
                generator, if None.
        """
        if noise is None:
            noise = torch.randn_like(self.mean)
        return self.mean + torch.exp(0.5 * self.log_var) * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats, (..., images): each image's Gaussian at its own codes (..., images, latent_dim)."""
        deviation = (z - self.mean).square() * torch.exp(-self.log_var)
        return -0.5 * (deviation + self.log_var + LOG_2PI).sum(dim=-1)

    def log_prob_pairwise(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats of every code under every image's Gaussian, (codes, images).

        A product of matrices, which needs no (codes, images, latent_dim) array; the squares are multiplied out,
        so use float64 where Gaussians are narrow.

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
        """Log-determinant of the scale, half that of the covariance, (images,)."""
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)

    def rsample(self, noise: Tensor | None = None) -> Tensor:
        """Draws by the reparameterisation z = mean + scale_tril noise, of the noise's shape.

        Args:
            noise: standard normal draws, (..., images, latent_dim); one per image, drawn from torch's global
                generator, if None.
        """
        if noise is None:
            noise = torch.randn_like(self.mean)
        with torch.autocast(noise.device.type, enabled=False):  # or z would be as coarse as half precision
            return self.mean + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats, (..., images): each image's Gaussian at its own codes (..., images, latent_dim)."""
        # All codes of an image are right-hand sides of one system; a system per code would copy the factor.
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


Posterior: TypeAlias = DiagonalGaussian | FullGaussian


def mapped(posterior: Posterior, function: Callable[[Tensor], Tensor]) -> Posterior:
    """The posterior with each of its tensors put through `function`, as in `mapped(q, Tensor.detach)`."""
    return type(posterior)(*map(function, posterior))


class Diagonal(nn.Linear):
    """The layer to a Gaussian with independent dimensions: Kingma & Welling (2014), section 3 and appendix C.2.

    Args:
        features: width of the encoder's output.
        latent_dim: size of z.
    """

    family = DiagonalGaussian

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__(features, 2 * latent_dim)

    def posterior(self, features: Tensor, dtype: torch.dtype) -> DiagonalGaussian:
        """q(z|x) in `dtype`, for features (images, features)."""
        return DiagonalGaussian.from_parameters(self(features).to(dtype))


class FullCovariance(nn.Linear):
    """The layer to a Gaussian whose dimensions may depend on one another: Kingma & Welling (2019), section 2.5.1.

    It gives the covariance's Cholesky factor: log-variances as for Diagonal make its diagonal, and the entries below
    are in units of their row's. It has 2 * latent_dim + latent_dim * (latent_dim - 1) / 2 outputs.

    Args:
        features: width of the encoder's output.
        latent_dim: size of z.
    """

    family = FullGaussian

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__(features, 2 * latent_dim + latent_dim * (latent_dim - 1) // 2)
        self.latent_dim = latent_dim

    def posterior(self, features: Tensor, dtype: torch.dtype) -> FullGaussian:
        """q(z|x) in `dtype`, for features (images, features)."""
        mean, raw, below = self(features).to(dtype).tensor_split([self.latent_dim, 2 * self.latent_dim], dim=-1)
        scale = torch.exp(0.5 * _bounded(raw))
        rows, columns = torch.tril_indices(self.latent_dim, self.latent_dim, offset=-1, device=below.device)
        unit = torch.eye(self.latent_dim, dtype=dtype, device=below.device).repeat(mean.shape[0], 1, 1)
        unit[:, rows, columns] = below
        return FullGaussian(mean, scale.unsqueeze(-1) * unit)


def _bounded(raw: Tensor) -> Tensor:
    """Log-variances within ±20. Gradients pass straight through, so that one beyond is still pulled back."""
    return raw + (raw.clamp(-MAX_LOG_VAR, MAX_LOG_VAR) - raw).detach()
