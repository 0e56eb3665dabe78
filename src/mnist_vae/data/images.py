"""What a dataset is: two splits of uint8 images in memory, and where they come from."""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

DIGITS = tuple("0123456789")
PART = 1000  # images


class ImageArrays(NamedTuple):
    """A training and a test split: images are uint8 (N, 1, 28, 28), labels int64 (N,) from 0 to 9; `classes`
    has their names."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...] = DIGITS


@runtime_checkable
class Source(Protocol):
    """Where images come from; see mnist.py and digits.py."""

    def load(self) -> ImageArrays:
        """Both splits, as uint8 images (n, channels, height, width) and int64 labels (n,)."""


def mean_pixel(images: Tensor) -> list[float]:
    """Mean of uint8 images (n, channels, height, width), one per channel, in [0, 1]."""
    # In parts: a sum of integers needs a copy of what it sums, of eight bytes a pixel.
    sums = sum(part.sum(dim=(0, 2, 3), dtype=torch.int64) for part in images.split(PART))
    return (sums / (255 * images[:, 0].numel())).tolist()
