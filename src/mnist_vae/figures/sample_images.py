"""Sample images of a run: one image of each class, its reconstruction, and samples from fixed noise."""

from typing import NamedTuple

import torch
from torch import Tensor

from mnist_vae.models.vae import VAE

SAMPLES = 50
SAMPLE_SEED = 20140414


class SampleImages(NamedTuple):
    """Originals, reconstructions and samples; images are float32 (n, channels, height, width) in [0, 1], on the CPU.

    Attributes:
        labels: labels that occur in the split, in ascending order.
        originals: first image of each label.
        reconstructions: reconstructions of the originals.
        samples: decoded samples from the prior, with the same seed for every model; for a conditional VAE with the
            labels in turn.
    """

    labels: list[int]
    originals: Tensor
    reconstructions: Tensor
    samples: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, vae: VAE, split: tuple[Tensor, Tensor]) -> "SampleImages":
        """Compute the sample images of `vae` on a split: uint8 images (n, channels, height, width) and labels (n,)."""
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
    """Labels 0, 1, …, classes - 1 repeated to length `count`, for a conditional VAE; None for an unconditional one."""
    return torch.arange(count) % vae.classes if vae.classes else None
