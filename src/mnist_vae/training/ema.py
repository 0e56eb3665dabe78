"""A running average of the weights."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class ExponentialAverage(WeightAveraging):
    """Validates, tests and keeps an exponential moving average of the weights; training goes on with its own.

    Tarvainen & Valpola (2017), section 3. The decay rises to its value as (1 + t)/(10 + t) after t steps, as in
    TensorFlow's ExponentialMovingAverage, since the average would otherwise remember the random weights of the start.

    Args:
        decay: share of the average that stays at a step, from 0 to below 1: some 1/(1 - decay) steps are averaged.

    Raises:
        ValueError: it is not.
    """

    def __init__(self, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}; it must be 0 or more, and below 1")
        self.decay = decay
        super().__init__(multi_avg_fn=self._average)

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
        """Take in what the step before has come to; Lightning's hook of a batch is called after several steps."""
        self.on_train_batch_end(trainer, trainer.lightning_module, None, None, 0)

    @torch.no_grad()
    def _average(self, averaged: Any, current: Sequence[Tensor], count: Tensor | int) -> None:
        steps = int(count)
        torch._foreach_lerp_(list(averaged), list(current), 1 - min(self.decay, (1 + steps) / (10 + steps)))
