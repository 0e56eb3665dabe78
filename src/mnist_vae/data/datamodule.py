"""Training, validation and test images as a LightningDataModule."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mnist_vae.data.batches import EVALUATION_BATCH, EVALUATION_SEED, Batch, ImageDataset, InOrder, SeededShuffle
from mnist_vae.data.binarize import Binarize, binarize
from mnist_vae.data.images import ImageArrays, Source
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.seeding import Noise


class ImageDataModule(pl.LightningDataModule):
    """Training, validation and test images, each one uint8 tensor in memory.

    Args:
        source: where the images come from.
        name: the dataset's name, for messages.
        val_size: training images held out for validation, the same ones for every seed; 0 for none.
        binarize: see binarize.Binarize. Validation and test images are binarised once, with a fixed seed.
        batch_size: images per step, over all processes.
        seed: of the order of the training images.

    Raises:
        DataError: the images are not available.
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
        """The split `train`, `val` or `test`: uint8 images (n, channels, height, width) and labels (n,).

        Where the data are binarised, the pixels are binarised once, with a fixed seed.
        """
        if split == "train":
            return _evaluation_bits(*self.train_split, self.binarize)
        return self.val_split if split == "val" else self.test_split

    def train_dataloader(self) -> DataLoader:
        images, _ = self.train_split
        return self._loader(self.train_split, self.batch_size, SeededShuffle(len(images), self.seed))

    def val_dataloader(self) -> DataLoader | list:
        return (
            self._loader(self.val_split, EVALUATION_BATCH, InOrder(len(self.val_split[0])))
            if len(self.val_split[0])
            else []
        )

    def test_dataloader(self) -> DataLoader:
        return self._loader(self.test_split, EVALUATION_BATCH, InOrder(len(self.test_split[0])))

    predict_dataloader = test_dataloader

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Turn uint8 images into pixels in [0, 1], on the device; in training, binarise them anew."""
        images, labels, *total = batch
        size = total[0] if total else len(images)
        assert self.trainer is not None
        pixels = to_unit(images)
        if self.trainer.training:
            pixels = binarize(pixels, self.binarize, Noise(size, self.trainer.global_rank, self.trainer.world_size))
        return Batch(pixels, labels, size)

    def _loader(self, split: tuple[Tensor, Tensor], batch_size: int, sampler: InOrder) -> DataLoader:
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        # A loader draws a seed whenever it is iterated; from a generator of its own, so that torch's global one and
        # with it the noise of training do not depend on that.
        return DataLoader(
            ImageDataset(*split, rank, world_size),
            batch_size=batch_size,
            sampler=sampler,
            collate_fn=_unchanged,
            generator=torch.Generator(),
        )


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


def _unchanged(batch: Any) -> Any:
    return batch  # the dataset has collated it already


def check_batch_size(batch_size: int, train_size: int, dataset: str) -> None:
    """Raise SettingsError if no batch can be filled from the training split."""
    if batch_size > train_size:
        raise SettingsError(
            f"batch_size={batch_size}: the training split of {dataset} has {train_size} images; "
            f"batch_size must be at most {train_size}."
        )
