"""Images in memory, and whole batches indexed from one tensor."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from mnist_vae.utils.seeding import derived_seed

EVALUATION_SEED = 20140414  # of the held-out split and the evaluation bits: not the run's, so that runs compare
EVALUATION_BATCH = 1000
ORDER = 1  # key of the seed of the data order, which keeps it apart from the seed of the noise


class Batch(tuple[Tensor, Tensor]):
    """Images (n, channels, height, width) and labels (n,) of one step: `images, labels = batch`.

    Attributes:
        total: images in the whole batch, of which this process holds n.
    """

    total: int

    def __new__(cls, images: Tensor, labels: Tensor, total: int) -> "Batch":
        batch = super().__new__(cls, (images, labels))
        batch.total = total
        return batch


class ImageDataset(Dataset):
    """uint8 images (n, channels, height, width) and int64 labels (n,).

    A DataLoader fetches a whole batch by `__getitems__`, in one indexing operation. Of each batch this process gets
    every `world_size`-th image, from `rank` on; the third value is then the size of the whole batch.
    """

    def __init__(self, images: Tensor, labels: Tensor, rank: int = 0, world_size: int = 1) -> None:
        self.images, self.labels, self.rank, self.world_size = images, labels, rank, world_size

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index], self.labels[index]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor] | tuple[Tensor, Tensor, int]:
        if self.world_size == 1:
            chosen = torch.tensor(indices)
            return self.images.index_select(0, chosen), self.labels.index_select(0, chosen)
        chosen = torch.tensor(indices[self.rank :: self.world_size], dtype=torch.int64)
        return self.images.index_select(0, chosen), self.labels.index_select(0, chosen), len(indices)


class InOrder(DistributedSampler):
    """The indices 0, 1, … of the whole batches.

    It is a DistributedSampler so that Lightning does not put its own in its place, which would split the images over
    processes a second time: ImageDataset splits each batch.
    """

    def __init__(self, size: int) -> None:
        super().__init__(range(size), num_replicas=1, rank=0, shuffle=False)  # type: ignore[arg-type]


class SeededShuffle(InOrder):
    """Shuffled indices, a function of (seed, epoch) alone. Lightning calls `set_epoch` at the start of each epoch.

    Args:
        size: number of images.
    """

    def __init__(self, size: int, seed: int) -> None:
        super().__init__(size)
        self.size, self.seed = size, seed

    def __iter__(self) -> Iterator[int]:
        # A generator, so that the epoch is read at the first batch: on resuming, Lightning creates the iterator
        # before it sets the epoch.
        generator = torch.Generator().manual_seed(derived_seed(self.seed, self.epoch, ORDER))
        yield from torch.randperm(self.size, generator=generator).tolist()
