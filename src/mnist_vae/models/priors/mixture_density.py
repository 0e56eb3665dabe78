"""Mixtures of Gaussians: their density and draws, whatever the components come from."""

import torch
from torch import Tensor

from mnist_vae.models.posteriors import DiagonalGaussian, FullGaussian, Posterior

PAIRS = 1_000_000  # of codes and components at once: 8 MB in float64, which a cache may hold
WITHOUT_FLOAT64 = ("mps",)


def log_mixture(components: Posterior, log_weights: Tensor | float, z: Tensor) -> Tensor:
    """log sum_k w_k N_k(z) in nats, (...), of codes (..., latent_dim), in their precision.

    Args:
        components: K Gaussians.
        log_weights: (K,), or one number if all are equal.
    """
    flat = z.reshape(-1, z.shape[-1])
    rows = max(1, PAIRS // len(components.mean))
    with torch.autocast(z.device.type, enabled=False):
        parts = [(_pairwise(components, part) + log_weights).logsumexp(dim=-1) for part in flat.split(rows)]
    return torch.cat(parts).reshape(z.shape[:-1])


@torch.no_grad()
def sample_mixture(
    components: Posterior, weights: Tensor, count: int, generator: torch.Generator | None, temperature: float
) -> Tensor:
    """Draws (count, latent_dim) from sum_k w_k N_k, whose standard deviations are scaled by `temperature`.

    Args:
        components: K Gaussians.
        weights: (K,), not negative.
    """
    device = generator.device if generator is not None else "cpu"
    choice = torch.multinomial(weights.to(device), count, replacement=True, generator=generator)
    noise = torch.randn(count, components.mean.shape[-1], generator=generator, device=device)
    chosen = type(components)(*(tensor[choice.to(tensor.device)] for tensor in components))
    return chosen.rsample(temperature * noise.to(components.mean))


def _pairwise(components: Posterior, z: Tensor) -> Tensor:
    """log N_k(z) of every code (codes, latent_dim) under every component, (codes, K)."""
    if isinstance(components, FullGaussian):
        return FullGaussian(*(tensor.to(z.dtype) for tensor in components)).log_prob_pairwise(z)
    if z.device.type in WITHOUT_FLOAT64:
        # Differences first, which float32 does well; slower, and an array of all of them.
        rows = max(1, PAIRS // components.mean.numel())
        return torch.cat([components.log_prob(part.unsqueeze(1)) for part in z.split(rows)])
    # Its squares are multiplied out and cancel: with 40 dimensions, means of 3 and variances of 1e-3, float32 is
    # 0.2 nats off. float64 takes half as long again; differences, seven times as long.
    wide = DiagonalGaussian(components.mean.double(), components.log_var.double())
    return wide.log_prob_pairwise(z.double()).to(z.dtype)
