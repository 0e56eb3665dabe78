"""Sums over batches, kept as tensors on the device until they are needed."""

import pytorch_lightning as pl
import torch
from torch import Tensor

from mnist_vae.objectives import Terms


class TermSums:
    """Sums over an epoch's images of loss, reconstruction and KL, in nats.

    The sums of each step stay on the device until `collect`, since reading a value makes the device finish its work.

    Attributes:
        total: (3,) float64 on the CPU, over the steps collected so far.
        images, steps: how many of each have been collected.
    """

    def __init__(self) -> None:
        self.total = torch.zeros(3, dtype=torch.float64)
        self.images = self.steps = 0
        self._pending: list[Tensor] = []
        self._pending_images = 0

    @property
    def is_pending(self) -> bool:
        """Whether steps were added since the last `collect`."""
        return bool(self._pending)

    def add(self, terms: Terms, images: int) -> None:
        """Add one step; `images` is the size of the whole batch, over all processes."""
        self._pending.append(torch.stack(terms).detach().sum(dim=1))
        self._pending_images += images

    def collect(self, strategy: pl.strategies.Strategy) -> tuple[Tensor, int]:
        """Add up the steps since the last call.

        Returns:
            The sums of each of these steps over all processes, (steps, 3) float64 on the CPU, and their images.
        """
        steps = strategy.reduce(torch.stack(self._pending), reduce_op="sum").cpu().double()
        images = self._pending_images
        self.total += steps.sum(dim=0)
        self.images += images
        self.steps += len(steps)
        self._pending, self._pending_images = [], 0
        return steps, images


class LatentVariance:
    """Variance over images of each dimension of the posterior means, which active units are counted by."""

    def __init__(self) -> None:
        self._sums: Tensor | float = 0.0

    def add(self, means: Tensor) -> None:
        """Add posterior means (images, latent_dim)."""
        wide = means.detach() if means.device.type == "mps" else means.detach().double()  # which has no float64
        count = wide.new_full(wide.shape[1:], len(wide))
        self._sums = self._sums + torch.stack([count, wide.sum(dim=0), wide.square().sum(dim=0)])

    def compute(self, strategy: pl.strategies.Strategy) -> Tensor:
        """(latent_dim,), over the images of all processes."""
        count, first, second = strategy.reduce(self._sums, reduce_op="sum").cpu().double()
        return second / count - (first / count).square()
