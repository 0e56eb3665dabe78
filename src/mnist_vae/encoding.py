"""Many images through the encoder."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from mnist_vae.posteriors import DiagonalGaussian
from mnist_vae.vae import VAE

BATCH = 1000
ShowProgress = Callable[[Iterable[Any]], Iterable[Any]]


def to_unit(images: Tensor) -> Tensor:
    """uint8 grey levels as float32 in [0, 1], of the same shape."""
    return images.to(torch.float32).div_(255)


@torch.no_grad()
def encode_images(vae: VAE, images: Tensor, show_progress: ShowProgress = iter) -> DiagonalGaussian:
    """q(z|x) of uint8 images (n, channels, height, width), batch by batch; on the CPU.

    Args:
        show_progress: wraps the batches, as tqdm does.
    """
    training = vae.training
    vae.eval()
    parts = []
    for batch in show_progress(images.split(BATCH)):
        parts.append([part.cpu() for part in vae.encode(to_unit(batch.to(vae.device)))])
    vae.train(training)
    means, log_vars = zip(*parts, strict=True)
    return DiagonalGaussian(torch.cat(means), torch.cat(log_vars))
