"""An exponential moving average of the weights."""

from collections.abc import Sequence

from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


class ExponentialAverage(WeightAveraging):
    """Validate, test and save an exponential moving average of the weights; training uses the weights themselves.

    Tarvainen & Valpola (2017), section 2. The decay rises to its value as (1 + t)/(10 + t) after t steps, as in
    TensorFlow's ExponentialMovingAverage, since the average would otherwise remember the random weights of the start.

    Args:
        decay: share of the average that is kept at a step, in [0, 1): about 1/(1 - decay) steps are averaged.

    Raises:
        ValueError: decay is out of range.
    """

    def __init__(self, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}; it must be 0 or more, and below 1")
        self.decay = decay
        super().__init__(multi_avg_fn=self._average)

    def _average(self, averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        decay = min(self.decay, (1 + int(count)) / (10 + int(count)))
        get_ema_multi_avg_fn(decay)(averaged, current, count)
