"""Random draws that depend on the seed, the epoch and the batch, not on the processes that share the batch."""

import random
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


def derived_seed(seed: int, *keys: int) -> int:
    """A 32-bit seed for one purpose, independent of the seeds for other `keys` (numpy's SeedSequence)."""
    # The number of keys comes first, since SeedSequence takes trailing zeros for nothing.
    return int(np.random.SeedSequence((len(keys), seed, *keys)).generate_state(1)[0])


def seed_everything(seed: int, *keys: int) -> None:
    """Seed Python, numpy and torch (all devices). Called at each epoch's start, it makes every draw of an
    epoch a function of (seed, epoch), so a resumed run draws what the uninterrupted one would have drawn."""
    value = derived_seed(seed, *keys)
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


class Noise(NamedTuple):
    """Draws for one batch, of which this process may hold only every `world_size`-th image.

    Each process draws for the whole batch and keeps its own rows. So processes that are seeded alike draw
    together exactly what one process would have drawn alone.

    Args:
        total: images in the whole batch.
        rank, world_size: this process holds the images `rank, rank + world_size, …` of the batch.
        generator: source of the draws; None is torch's global one on the device asked for.
    """

    total: int
    rank: int = 0
    world_size: int = 1
    generator: torch.Generator | None = None

    def normal(self, *shape: int, device: torch.device | str = "cpu") -> Tensor:
        """Standard normal draws, (images of this process, *shape)."""
        return self._rows(torch.randn, shape, device)

    def uniform(self, *shape: int, device: torch.device | str = "cpu") -> Tensor:
        """Draws from [0, 1), (images of this process, *shape)."""
        return self._rows(torch.rand, shape, device)

    def _rows(self, draw, shape: tuple[int, ...], device: torch.device | str) -> Tensor:
        source = device if self.generator is None else self.generator.device
        drawn = draw(self.total, *shape, generator=self.generator, device=source).to(device)
        return drawn if self.world_size == 1 else drawn[self.rank :: self.world_size]
