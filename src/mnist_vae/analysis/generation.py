"""Image generation: samples from the prior; reconstructions, interpolations and variations of test images.

All images are float32 (…, channels, height, width) in [0, 1], on the CPU.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mnist_vae.analysis import latent
from mnist_vae.analysis.encoding import ShowProgress, encode_images
from mnist_vae.models.posteriors import mapped
from mnist_vae.models.vae import VAE
from mnist_vae.utils.pixels import to_unit

PER_LABEL = 10  # test images
PATHS = 3  # interpolations from one label to the next
STEPS = 10  # of an interpolation
VARIATIONS = 9


class Variations(NamedTuple):
    """Test images of some labels, with images generated from them.

    Attributes:
        labels: the labels, (labels,).
        originals: test images, (labels, PER_LABEL, …).
        codes: posterior means of the originals, (labels, PER_LABEL, latent_dim).
        reconstructions: reconstructions of the originals, (labels, PER_LABEL, …).
        interpolations: linear interpolations from images of each label to images of the next, (pairs, PATHS, STEPS, …);
            for a single label, between images of that label.
        variations: decoded samples of the posterior of each label's first image, (labels, VARIATIONS, …).
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
    """Sample codes from the prior and decode them.

    Args:
        count: number of samples.
        seed: seed of the samples.
        temperature: scale of the prior's standard deviation.
        labels: for a conditional VAE, the labels of the samples, (count,).
        show_progress: see `latent.decode`.

    Returns:
        Codes (count, latent_dim) and images (count, …).
    """
    generator = torch.Generator().manual_seed(seed)
    codes = vae.prior.sample(count, generator, temperature).cpu()
    return codes, latent.decode(vae, codes, labels, show_progress, generator)


def vary(
    vae: VAE, split: tuple[Tensor, Tensor], labels: Sequence[int], seed: int, temperature: float = 1.0
) -> Variations:
    """Reconstruct, interpolate and vary randomly chosen test images with these labels.

    Args:
        split: uint8 images (n, channels, height, width) and labels (n,).
        labels: labels to choose images of; each must occur in the split.
        seed: seed of the choice of images and of the variations.
        temperature: scale of the posterior's standard deviation in the variations.
    """
    generator = torch.Generator().manual_seed(seed)
    images, all_labels = split
    chosen = torch.stack([_choose((all_labels == label).nonzero()[:, 0], generator) for label in labels])
    posterior = encode_images(vae, images[chosen.flatten()], all_labels[chosen.flatten()])
    mean = posterior.mean.reshape(*chosen.shape, -1)
    label_tensor = torch.tensor(labels)
    if len(labels) > 1:
        first, last, path_labels = mean[:-1, :PATHS], mean[1:, :PATHS], label_tensor[:-1]
    else:
        first, last, path_labels = mean[:, :PATHS], mean[:, PATHS : 2 * PATHS], label_tensor
    path_labels = path_labels.repeat_interleave(PATHS)
    paths = latent.interpolations(vae, first.flatten(0, 1), last.flatten(0, 1), STEPS, path_labels)
    noise = torch.randn(VARIATIONS, len(labels), mean.shape[-1], generator=generator)
    draws = mapped(posterior, lambda part: part[::PER_LABEL]).rsample(temperature * noise)
    return Variations(
        label_tensor,
        to_unit(images[chosen.flatten()]).reshape(*chosen.shape, *images.shape[1:]),
        mean,
        latent.decode(vae, mean, label_tensor[:, None]),
        paths.reshape(-1, PATHS, *paths.shape[1:]),
        latent.decode(vae, draws.transpose(0, 1), label_tensor[:, None]),
    )


def _choose(indices: Tensor, generator: torch.Generator) -> Tensor:
    """Choose PER_LABEL indices at random, without replacement as far as there are enough."""
    order = indices[torch.randperm(len(indices), generator=generator)]
    return order.repeat(-(-PER_LABEL // len(order)))[:PER_LABEL]
