"""Walks through the latent space: codes along a way, and the images that the decoder makes of them.

All images are float32 in [0, 1], on the CPU.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mnist_vae.analysis.encoding import BATCH, ShowProgress
from mnist_vae.analysis.metrics import active_units
from mnist_vae.models.posteriors import Posterior
from mnist_vae.models.vae import VAE


@torch.no_grad()
def decode(vae: VAE, z: Tensor, labels: Tensor | None = None, show_progress: ShowProgress = iter) -> Tensor:
    """E[x|z] of codes (..., latent_dim): images (..., channels, height, width).

    Args:
        labels: for a conditional VAE, of the codes' leading shape or one that expands to it.
        show_progress: wraps the batches, as tqdm does.
    """
    flat = z.reshape(-1, z.shape[-1]).to(torch.float32)
    if labels is not None and vae.classes:
        given = labels.expand(z.shape[:-1]).reshape(-1).split(BATCH)
    else:
        given = (None,) * len(flat.split(BATCH))
    parts = show_progress(list(zip(flat.split(BATCH), given, strict=True)))
    images = torch.cat([vae.decode(part.to(vae.device), some).float().cpu() for part, some in parts])
    return images.reshape(*z.shape[:-1], *images.shape[1:])


def aggregate_deviation(posterior: Posterior) -> Tensor:
    """Standard deviation of the aggregate posterior q(z), the mixture of all images' posteriors: (latent_dim,)."""
    return (posterior.mean.var(dim=0, unbiased=False) + posterior.log_var.exp().mean(dim=0)).sqrt()


def most_active(means: Tensor, count: int) -> list[int]:
    """At most `count` latent dimensions, active units only (or the most active one if there are none), those whose
    posterior mean varies most over images first.

    Args:
        means: (images, latent_dim).
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
    """A walk along each dimension from one code: images (dimensions, positions, channels, height, width).

    Args:
        start: the code that all walks pass through, (latent_dim,).
        scale: the length of a unit of `positions` in each dimension, (latent_dim,).
        positions: where to stop on the way; 0 is `start`.
        label: for a conditional VAE, that of all images, a scalar.
    """
    codes = start.repeat(len(dimensions), len(positions), 1)
    for row, dimension in enumerate(dimensions):
        codes[row, :, dimension] += positions * scale[dimension]
    return decode(vae, codes, label)


def interpolations(vae: VAE, first: Tensor, last: Tensor, steps: int, labels: Tensor | None = None) -> Tensor:
    """Straight lines between codes (pairs, latent_dim): images (pairs, steps, channels, height, width).

    Args:
        labels: for a conditional VAE, of the pairs, (pairs,): all of a line have one label.
    """
    share = torch.linspace(0, 1, steps)[:, None]
    labels = labels[:, None] if labels is not None else None
    return decode(vae, first[:, None] + share * (last - first)[:, None], labels)


def manifold(vae: VAE, size: int, label: Tensor | None = None) -> Tensor:
    """The plane of a two-dimensional code, decoded on a grid: images (size, size, channels, height, width).

    The grid's lines are quantiles of each dimension under the prior, at equal distances in probability; so for a
    standard normal every tile stands for the same share of it: Kingma & Welling (2014), figure 4. The first dimension
    grows along a row, the second from the last row up.

    Args:
        label: for a conditional VAE, that of all images, a scalar.
    """
    probability = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    across, up = vae.prior.quantile(probability).float().unbind(dim=1)
    return decode(vae, torch.stack(torch.meshgrid(across, up.flip(0), indexing="xy"), dim=-1), label)


def spread(
    vae: VAE, posterior: Posterior, draws: int, generator: torch.Generator, labels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, pixel by pixel, of E[x|z] over draws of z from each posterior.

    Args:
        posterior: q(z|x) of n images, on the CPU.
        labels: theirs, (n,), for a conditional VAE.

    Returns:
        Both (n, channels, height, width).
    """
    noise = torch.randn(draws, *posterior.mean.shape, generator=generator)
    images = decode(vae, posterior.rsample(noise), labels)
    return images.mean(dim=0), images.std(dim=0)
