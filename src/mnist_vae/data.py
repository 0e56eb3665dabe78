"""Images in memory, and whole batches of them to the model, those of several steps at a time."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mnist_vae.encoding import to_unit
from mnist_vae.errors import SettingsError
from mnist_vae.noise import Noise, derived_seed
from mnist_vae.settings import Binarize, check_batch_size
from mnist_vae.sources import ImageArrays

EVALUATION_SEED = 20140414  # of the held-out split and the evaluation bits: not the run's, so that runs compare
EVALUATION_BATCH = 1000
# Steps that the loop is asked for at once. What it does around each request costs a fifth of a small model's step on
# a CPU, and several steps' time on a GPU.
STRETCH = {"cpu": 10, "mps": 10, "cuda": 50}
ORDER = 1  # the key that sets the seed of the data order apart from that of the noise


class Source(Protocol):
    """Where images come from; see sources.py."""

    def load(self) -> ImageArrays:
        """Both splits, as uint8 images (n, channels, height, width) and int64 labels (n,)."""
        ...


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


class ImageDataModule(pl.LightningDataModule):
    """Training, validation and test images, each one uint8 tensor in memory.

    Args:
        source: where the images come from.
        name: the dataset's name, for messages.
        val_size: training images held out for validation, the same ones for every seed; 0 for none.
        binarize: see settings.Binarize. Validation and test images are binarised once, with a fixed seed.
        batch_size: images per step, over all processes.
        seed: of the order of the training images.

    Raises:
        DataError: the images can't be had.
        SettingsError: val_size or batch_size does not fit the number of images.
    """

    def __init__(
        self, source: Source, name: str, val_size: int, binarize: Binarize, batch_size: int, seed: int
    ) -> None:
        super().__init__()
        self.batch_size, self.seed, self.binarize = batch_size, seed, binarize
        arrays = source.load()
        self.classes = arrays.classes
        self.image_shape = (arrays.train_images.shape[1], *arrays.train_images.shape[2:])
        train, val = _held_out(arrays, val_size, name)
        check_batch_size(batch_size, len(train[0]), name)
        self.train_split = train
        self.val_split = _evaluation_bits(*val, binarize)
        self.test_split = _evaluation_bits(arrays.test_images, arrays.test_labels, binarize)

    def fixed(self, split: str) -> tuple[Tensor, Tensor]:
        """The split `train`, `val` or `test` with its pixels binarised once, if they are at all, with a fixed seed:
        uint8 images (n, channels, height, width) and labels (n,)."""
        if split == "train":
            return _evaluation_bits(*self.train_split, self.binarize)
        return self.val_split if split == "val" else self.test_split

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the training images."""
        return math.ceil(len(self.train_split[0]) / self.batch_size)

    def train_dataloader(self) -> DataLoader:
        device = self.trainer.strategy.root_device.type if self.trainer else "cpu"
        order = BatchOrder(len(self.train_split[0]), self.batch_size, self.seed, STRETCH[device])
        return self._loader(self.train_split, order, self.binarize)

    def val_dataloader(self) -> DataLoader | list:
        return self._evaluation_loader(self.val_split) if len(self.val_split[0]) else []

    def test_dataloader(self) -> DataLoader:
        return self._evaluation_loader(self.test_split)

    def _evaluation_loader(self, split: tuple[Tensor, Tensor]) -> DataLoader:
        return self._loader(split, BatchOrder(len(split[0]), EVALUATION_BATCH), Binarize.none)

    def _loader(self, split: tuple[Tensor, Tensor], order: BatchOrder, how: Binarize) -> DataLoader:
        rank = self.trainer.global_rank if self.trainer else 0
        world_size = self.trainer.world_size if self.trainer else 1
        # A loader draws a seed whenever it is iterated; from its own generator, the global one stays as it was.
        return DataLoader(
            ImageDataset(*split, how, rank, world_size),
            sampler=order,
            batch_size=None,
            collate_fn=_as_it_is,
            generator=torch.Generator(),
        )


def binarize(x: Tensor, how: Binarize, noise: Noise) -> Tensor:
    """Pixels in [0, 1] as pixels in {0, 1} (or as they are), of the same shape (n, channels, height, width).

    `dynamic` draws each pixel with its grey level as probability: Salakhutdinov & Murray (2008), section 5.
    """
    if how is Binarize.none:
        return x
    if how is Binarize.threshold:
        return (x > 0.5).to(x.dtype)
    return (noise.uniform(*x.shape[1:], device=x.device) < x).to(x.dtype)


def _held_out(arrays: ImageArrays, val_size: int, name: str) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    images, labels = arrays.train_images, arrays.train_labels
    if val_size >= len(images):
        raise SettingsError(
            f"data.val_size={val_size}: {name} has {len(images)} training images, and some must be left to train "
            f"on; data.val_size must be below {len(images)}."
        )
    if val_size == 0:
        return (images, labels), (images[:0], labels[:0])
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(EVALUATION_SEED))
    # Sorted, so that a split reads memory in order and the training images keep the order they came in.
    val, train = order[:val_size].sort().values, order[val_size:].sort().values
    return (images[train], labels[train]), (images[val], labels[val])


def _evaluation_bits(images: Tensor, labels: Tensor, how: Binarize) -> tuple[Tensor, Tensor]:
    if how is Binarize.none or not len(images):
        return images, labels
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    bits = binarize(to_unit(images), how, Noise(len(images), generator=generator))
    return bits.to(torch.uint8).mul_(255), labels


def _as_it_is(batch: Any) -> Any:
    return batch
