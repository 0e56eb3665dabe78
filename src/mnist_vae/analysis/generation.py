"""New images from a trained VAE: samples from the prior, and images like given ones.

All images are float32 (…, channels, height, width) in [0, 1], on the CPU.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mnist_vae.analysis import latent
from mnist_vae.analysis.encoding import ShowProgress, encode_images
from mnist_vae.data.images import to_unit
from mnist_vae.models.posteriors import mapped
from mnist_vae.models.vae import VAE

PER_LABEL = 10
PATHS = 3  # interpolations from one label to the next
STEPS = 10
VARIATIONS = 9


class Likeness(NamedTuple):
    """Images made from test images.

    Attributes:
        labels: the labels asked for, (labels,).
        originals: test images, (labels, PER_LABEL, …).
        codes: their posterior means, (labels, PER_LABEL, latent_dim).
        reconstructions: of the originals, (labels, PER_LABEL, …).
        interpolations: straight lines from an image of each label to one of the next, (pairs, PATHS, STEPS, …); of a
            single label, from one of its images to another.
        variations: decoded draws around each label's first image, (labels, VARIATIONS, …).
    """

    labels: Tensor
    originals: Tensor
    codes: Tensor
    reconstructions: Tensor
    interpolations: Tensor
    variations: Tensor


def sample(
    vae: VAE,
    count: int,
    seed: int,
    temperature: float = 1.0,
    labels: Tensor | None = None,
    show_progress: ShowProgress = iter,
) -> tuple[Tensor, Tensor]:
    """Codes from the prior, (count, latent_dim), and their images, (count, …).

    Args:
        temperature: scale of the prior's standard deviation.
        labels: for a conditional VAE, those of the samples, (count,).
        show_progress: see `latent.decode`.
    """
    codes = vae.prior.sample(count, torch.Generator().manual_seed(seed), temperature).cpu()
    return codes, latent.decode(vae, codes, labels, show_progress)


def like(
    vae: VAE, split: tuple[Tensor, Tensor], labels: Sequence[int], seed: int, temperature: float = 1.0
) -> Likeness:
    """Reconstruct, interpolate between, and vary test images with these labels.

    Args:
        split: uint8 images (n, channels, height, width) and labels (n,).
        labels: the labels wanted, each of them in the split.
        seed: of the choice of images and of the variations.
        temperature: scale of the posterior's standard deviation in the variations.
    """
    generator = torch.Generator().manual_seed(seed)
    images, all_labels = split
    chosen = torch.stack([_choose((all_labels == label).nonzero()[:, 0], generator) for label in labels])
    posterior = encode_images(vae, images[chosen.flatten()], all_labels[chosen.flatten()])
    mean = posterior.mean.reshape(*chosen.shape, -1)
    own = torch.tensor(labels)
    if len(labels) > 1:
        first, last, along = mean[:-1, :PATHS], mean[1:, :PATHS], own[:-1]
    else:
        first, last, along = mean[:, :PATHS], mean[:, PATHS : 2 * PATHS], own
    along = along.repeat_interleave(PATHS)
    paths = latent.interpolations(vae, first.flatten(0, 1), last.flatten(0, 1), STEPS, along)
    noise = torch.randn(VARIATIONS, len(labels), mean.shape[-1], generator=generator)
    draws = mapped(posterior, lambda part: part[::PER_LABEL]).rsample(temperature * noise)
    return Likeness(
        own,
        to_unit(images[chosen.flatten()]).reshape(*chosen.shape, *images.shape[1:]),
        mean,
        latent.decode(vae, mean, own[:, None]),
        paths.reshape(-1, PATHS, *paths.shape[1:]),
        latent.decode(vae, draws.transpose(0, 1), own[:, None]),
    )


def _choose(places: Tensor, generator: torch.Generator) -> Tensor:
    """PER_LABEL of the places at random, some of them twice if there are not enough."""
    order = places[torch.randperm(len(places), generator=generator)]
    return order.repeat(-(-PER_LABEL // len(order)))[:PER_LABEL]
