"""Latent traversals, interpolations and manifolds: decoded images of codes along lines and on a grid.

All images are float32 in [0, 1], on the CPU.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mnist_vae.analysis.encoding import BATCH_SIZE, ShowProgress
from mnist_vae.analysis.metrics import active_units
from mnist_vae.models.posteriors import Posterior
from mnist_vae.models.vae import VAE


@torch.no_grad()
def decode(
    vae: VAE,
    z: Tensor,
    labels: Tensor | None = None,
    show_progress: ShowProgress = iter,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Compute E[x|z] of codes (..., latent_dim) in batches: images (..., channels, height, width).

    Args:
        labels: for a conditional VAE, of a shape that expands to the codes' leading shape.
        show_progress: wrapper of the iterable of batches, such as tqdm.
        generator: see `VAE.decode`.
    """
    batches = z.reshape(-1, z.shape[-1]).to(torch.float32).split(BATCH_SIZE)
    if labels is not None and vae.classes:
        batch_labels = labels.expand(z.shape[:-1]).reshape(-1).split(BATCH_SIZE)
    else:
        batch_labels = (None,) * len(batches)
    pairs = show_progress(list(zip(batches, batch_labels, strict=True)))
    images = torch.cat([vae.decode(batch.to(vae.device), given, generator).float().cpu() for batch, given in pairs])
    return images.reshape(*z.shape[:-1], *images.shape[1:])


def aggregate_std(posterior: Posterior) -> Tensor:
    """Standard deviation of the aggregate posterior q(z), the mixture of all images' posteriors, (latent_dim,)."""
    return (posterior.mean.var(dim=0, unbiased=False) + posterior.log_var.exp().mean(dim=0)).sqrt()


def most_active_dimensions(means: Tensor, count: int) -> list[int]:
    """Select active units, in descending order of the variance of their posterior means over images.

    Args:
        means: posterior means, (images, latent_dim).
        count: maximum number of dimensions.

    Returns:
        Indices of latent dimensions; if there are no active units, the dimension of largest variance.
    """
    order = means.var(dim=0).argsort(descending=True, stable=True)
    return order[: max(1, min(count, active_units(means)))].tolist()


def traversals(
    vae: VAE,
    start: Tensor,
    dimensions: Sequence[int],
    scale: Tensor,
    positions: Tensor,
    label: Tensor | None = None,
) -> Tensor:
    """Latent traversals: vary one dimension of a code at a time.

    Args:
        start: the code, (latent_dim,).
        dimensions: indices of the latent dimensions that are varied.
        scale: length of a unit of `positions` in each dimension, (latent_dim,).
        positions: offsets from `start`, (positions,).
        label: for a conditional VAE, the label of all images, a scalar.

    Returns:
        Images (dimensions, positions, channels, height, width).
    """
    codes = start.repeat(len(dimensions), len(positions), 1)
    for row, dimension in enumerate(dimensions):
        codes[row, :, dimension] += positions * scale[dimension]
    return decode(vae, codes, label)


def interpolations(vae: VAE, first: Tensor, last: Tensor, steps: int, labels: Tensor | None = None) -> Tensor:
    """Linear interpolations between pairs of codes.

    Args:
        first, last: (pairs, latent_dim).
        steps: images per pair, both ends included.
        labels: for a conditional VAE, the label of each pair, (pairs,).

    Returns:
        Images (pairs, steps, channels, height, width).
    """
    fraction = torch.linspace(0, 1, steps)[:, None]
    labels = labels[:, None] if labels is not None else None
    return decode(vae, first[:, None] + fraction * (last - first)[:, None], labels)


def prior_grid(vae: VAE, size: int) -> Tensor:
    """Quantiles of each dimension of the prior, equally spaced in probability and ascending, (size, latent_dim)."""
    probability = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    return vae.prior.quantile(probability).float()


def manifold(vae: VAE, size: int, label: Tensor | None = None) -> Tensor:
    """Decode a grid over a two-dimensional latent space: Kingma & Welling (2014), figure 4.

    The grid is that of `prior_grid`, so that under a standard normal every cell has the same probability. The first
    dimension increases from left to right, the second from bottom to top.

    Args:
        size: images per side.
        label: for a conditional VAE, the label of all images, a scalar.

    Returns:
        Images (size, size, channels, height, width).
    """
    across, up = prior_grid(vae, size).unbind(dim=1)
    return decode(vae, torch.stack(torch.meshgrid(across, up.flip(0), indexing="xy"), dim=-1), label)


def reconstruction_moments(
    vae: VAE, posterior: Posterior, samples: int, generator: torch.Generator, labels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each pixel of E[x|z] over samples of z from q(z|x).

    Args:
        posterior: q(z|x) of n images, on the CPU.
        samples: samples of z per image.
        generator: source of randomness.
        labels: for a conditional VAE, those of the images, (n,).

    Returns:
        Both (n, channels, height, width).
    """
    noise = torch.randn(samples, *posterior.mean.shape, generator=generator)
    images = decode(vae, posterior.rsample(noise), labels)
    return images.mean(dim=0), images.std(dim=0)
