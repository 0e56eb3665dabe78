"""The images that stand for a run: one of each class, their reconstructions, and samples from fixed noise."""

from typing import NamedTuple

import torch
from torch import Tensor

from mnist_vae.models.vae import VAE

SAMPLES = 50
SAMPLE_SEED = 20140414


class SampleImages(NamedTuple):
    """All images are (n, channels, height, width) float32 in [0, 1], on the CPU.

    Attributes:
        labels: the classes, in order; each has one column in `originals` and `reconstructions`.
        originals: the first image of each class in the split.
        reconstructions: the originals through their posterior means.
        samples: decoded from the same draws of the prior for every model with the same latent_dim; by a conditional
            VAE one label after the other.
    """

    labels: list[int]
    originals: Tensor
    reconstructions: Tensor
    samples: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, vae: VAE, split: tuple[Tensor, Tensor]) -> "SampleImages":
        """The gallery of `vae` on a split: uint8 images (n, channels, height, width) and labels (n,)."""
        images, all_labels = split
        labels = sorted(set(all_labels.tolist()))
        first = [int((all_labels == label).nonzero()[0]) for label in labels]
        originals = images[first].to(torch.float32) / 255
        training = vae.training
        vae.eval()
        reconstructions = vae.reconstruct(originals.to(vae.device), torch.tensor(labels)).float().cpu()
        generator = torch.Generator().manual_seed(SAMPLE_SEED)
        samples = vae.sample(SAMPLES, generator, labels=labels_in_turn(vae, SAMPLES)).float().cpu()
        vae.train(training)
        return cls(labels, originals, reconstructions, samples)


def labels_in_turn(vae: VAE, count: int) -> Tensor | None:
    """For a conditional VAE the labels 0, 1, … and again from 0, (count,); else None."""
    return torch.arange(count) % vae.classes if vae.classes else None
