"""Many images through the encoder."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from mnist_vae.data.images import to_unit
from mnist_vae.models.posteriors import Posterior
from mnist_vae.models.vae import VAE

BATCH = 1000
ShowProgress = Callable[[Iterable[Any]], Iterable[Any]]


@torch.no_grad()
def encode_images(vae: VAE, images: Tensor, labels: Tensor, show_progress: ShowProgress = iter) -> Posterior:
    """q(z|x) of uint8 images (n, channels, height, width), batch by batch; on the CPU.

    Args:
        labels: theirs, (n,), for a conditional VAE.
        show_progress: wraps the batches, as tqdm does.
    """
    training = vae.training
    vae.eval()
    parts = []
    for batch, given in show_progress(list(zip(images.split(BATCH), labels.split(BATCH), strict=True))):
        parts.append(vae.encode(to_unit(batch.to(vae.device)), given))
    vae.train(training)
    return type(parts[0])(*(torch.cat([part.cpu() for part in each]) for each in zip(*parts, strict=True)))
