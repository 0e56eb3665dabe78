"""Whole batches of images, indexed from one tensor in memory."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from mnist_vae.data.binarize import Binarize, binarize
from mnist_vae.data.images import to_unit
from mnist_vae.utils.seeding import Noise, derived_seed

EVALUATION_BATCH = 1000
# Steps that the loop is asked for at once. What it does around each request costs a fifth of a small model's step on
# a CPU, and several steps' time on a GPU.
STRETCH = {"cpu": 10, "mps": 10, "cuda": 50}
ORDER = 1  # the key that sets the seed of the data order apart from that of the noise


class Batch(NamedTuple):
    """What a step sees.

    Attributes:
        images: (n, channels, height, width) float32 in [0, 1], on the device.
        labels: (n,), int64.
        total: images in the whole batch, of which this process holds n.
    """

    images: Tensor
    labels: Tensor
    total: int


class ImageDataset(Dataset):
    """uint8 images (n, channels, height, width) and labels (n,), indexed by the index tensors of several batches.

    Of every batch this process has each `world_size`-th image, from `rank` on. All images are moved to a device at
    once, when it is asked for the first time.

    Args:
        binarize: what becomes of the pixels, each time they are seen.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, binarize: Binarize = Binarize.none, rank: int = 0, world_size: int = 1
    ) -> None:
        self.tensors = {images.device: (images, labels)}
        self.binarize, self.rank, self.world_size = binarize, rank, world_size

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values()))[0])

    def __getitem__(self, batches: Sequence[Tensor]) -> "Stretch":
        return Stretch(self, batches, next(iter(self.tensors)))

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Images and labels there."""
        if device not in self.tensors:
            images, labels = next(iter(self.tensors.values()))
            self.tensors[device] = images.to(device), labels.to(device)
        return self.tensors[device]


class Stretch:
    """The batches of some steps in a row, each made on the device when its turn comes.

    Args:
        batches: the indices of each batch's images.
        device: where the batches are to be.
    """

    def __init__(self, dataset: ImageDataset, batches: Sequence[Tensor], device: torch.device) -> None:
        self.dataset, self.batches, self.device = dataset, batches, device

    def __len__(self) -> int:
        return len(self.batches)

    def to(self, device: torch.device) -> "Stretch":
        """On another device; Lightning calls it."""
        indices = torch.cat(list(self.batches)).to(device, non_blocking=True)  # one transfer for all
        return Stretch(self.dataset, indices.split([len(batch) for batch in self.batches]), device)

    def __iter__(self) -> Iterator[Batch]:
        data = self.dataset
        images, labels = data.on(self.device)
        for indices in self.batches:
            mine = indices if data.world_size == 1 else indices[data.rank :: data.world_size]
            x = to_unit(images.index_select(0, mine))
            x = binarize(x, data.binarize, Noise(len(indices), data.rank, data.world_size))
            yield Batch(x, labels.index_select(0, mine), len(indices))


class BatchOrder(Sampler[Sequence[Tensor]]):
    """The index tensors of an epoch's batches, some of them at a time: in order, or shuffled as a function of
    (seed, epoch) alone.

    Args:
        size: images.
        seed: None for in order.
        stretch: batches at a time.
    """

    def __init__(self, size: int, batch_size: int, seed: int | None = None, stretch: int = 1) -> None:
        self.size, self.batch_size, self.seed, self.stretch = size, batch_size, seed, stretch
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(math.ceil(self.size / self.batch_size) / self.stretch)

    def __iter__(self) -> Iterator[Sequence[Tensor]]:
        # A generator, so that the epoch is looked up when the first batch is asked for: on resuming, Lightning
        # creates the iterator first and tells the epoch afterwards.
        if self.seed is None:
            order = torch.arange(self.size)
        else:
            generator = torch.Generator().manual_seed(derived_seed(self.seed, self.epoch, ORDER))
            order = torch.randperm(self.size, generator=generator)
        batches = order.split(self.batch_size)
        for first in range(0, len(batches), self.stretch):
            yield batches[first : first + self.stretch]
