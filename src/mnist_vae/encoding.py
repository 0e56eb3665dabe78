"""Many images through the encoder."""

import torch
from torch import Tensor
from tqdm import tqdm

from mnist_vae.posteriors import DiagonalGaussian
from mnist_vae.vae import VAE

BATCH = 1000


def to_unit(images: Tensor) -> Tensor:
    """uint8 grey levels as float32 in [0, 1], of the same shape."""
    return images.to(torch.float32).div_(255)


@torch.no_grad()
def encode_images(vae: VAE, images: Tensor, progress: bool = False) -> DiagonalGaussian:
    """q(z|x) of uint8 images (n, channels, height, width), batch by batch; on the CPU.

    Args:
        progress: show a bar, if it is a terminal that looks on.
    """
    training = vae.training
    vae.eval()
    parts = []
    batches = images.split(BATCH)
    for batch in tqdm(batches, "encoding", leave=False, unit="batch", disable=None if progress else True):
        parts.append([part.cpu() for part in vae.encode(to_unit(batch.to(vae.device)))])
    vae.train(training)
    means, log_vars = zip(*parts, strict=True)
    return DiagonalGaussian(torch.cat(means), torch.cat(log_vars))
