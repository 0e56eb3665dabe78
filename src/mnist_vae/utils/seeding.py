"""Seeds and noise that depend on the seed, the epoch and the batch, but not on the number of processes."""

import random
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


def derived_seed(seed: int, *keys: int) -> int:
    """Derive a 32-bit seed that is independent of the seeds for other `keys`, by numpy's SeedSequence."""
    # The number of keys is included because SeedSequence ignores trailing zeros.
    return int(np.random.SeedSequence((len(keys), seed, *keys)).generate_state(1)[0])


def seed_everything(seed: int, *keys: int) -> None:
    """Seed the global generators of Python, numpy and torch (all devices).

    Called with (seed, epoch) at the start of each epoch, so that a resumed run uses the same random numbers as an
    uninterrupted one.
    """
    value = derived_seed(seed, *keys)
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


class Noise(NamedTuple):
    """Source of random numbers for one batch, which may be split over processes.

    Each process draws for the whole batch and keeps the rows of its own images. With equal seeds, all processes
    together therefore obtain the same numbers as a single process.

    Args:
        total: images in the whole batch.
        rank, world_size: this process holds the images `rank, rank + world_size, …` of the batch.
        generator: source of randomness; if None, torch's global generator of the requested device.
    """

    total: int
    rank: int = 0
    world_size: int = 1
    generator: torch.Generator | None = None

    def normal(self, *shape: int, device: torch.device | str = "cpu") -> Tensor:
        """Draw from N(0, 1): (images of this process, *shape)."""
        return self._rows(torch.randn, shape, device)

    def uniform(self, *shape: int, device: torch.device | str = "cpu") -> Tensor:
        """Draw uniformly from [0, 1): (images of this process, *shape)."""
        return self._rows(torch.rand, shape, device)

    def _rows(self, draw, shape: tuple[int, ...], device: torch.device | str) -> Tensor:
        source = device if self.generator is None else self.generator.device
        whole = draw(self.total, *shape, generator=self.generator, device=source).to(device)
        return whole if self.world_size == 1 else whole[self.rank :: self.world_size]
