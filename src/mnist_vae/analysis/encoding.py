"""Encoding of a data set in batches."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from mnist_vae.models.posteriors import Posterior, concatenated, detached, mapped
from mnist_vae.models.vae import VAE
from mnist_vae.utils.pixels import to_unit

BATCH_SIZE = 1000
ShowProgress = Callable[[Iterable[Any]], Iterable[Any]]


@torch.no_grad()
def encode_images(vae: VAE, images: Tensor, labels: Tensor, show_progress: ShowProgress = iter) -> Posterior:
    """Compute q(z|x) of uint8 images (n, channels, height, width) in batches, in evaluation mode.

    Args:
        labels: for a conditional VAE, those of the images, (n,).
        show_progress: wrapper of the iterable of batches, such as tqdm.

    Returns:
        The posterior of all images, on the CPU.
    """
    training = vae.training
    vae.eval()
    posteriors = []
    for batch, given in show_progress(list(zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True))):
        posteriors.append(vae.encode(to_unit(batch.to(vae.device)), given))
    vae.train(training)
    return mapped(detached(concatenated(posteriors)), Tensor.cpu)
