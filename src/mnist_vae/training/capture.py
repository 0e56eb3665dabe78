"""Training steps as CUDA graphs: the kernels of one step, recorded once and launched together ever after.

A step of a small model is some two hundred kernels of a few microseconds, and Python takes longer than that to launch
each of them. Nothing here has run on a GPU yet: the tests replay steps on the CPU.
"""

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mnist_vae.data.batches import Batch
from mnist_vae.utils.errors import first_line

log = logging.getLogger(__name__)

WARM_UP = 3  # steps on the side, in which libraries set themselves up; torch's notes on CUDA graphs ask for that
Record = Callable[[Callable[[], Tensor]], tuple[Callable[[], None], Tensor]]


class StepGraph:
    """Takes steps by replaying the recording of one.

    Python runs only while a step is recorded, and its numbers are those of that moment for good. So everything that a
    step gets from Python must be in its key, and a recording is used for steps of the same key only. As long as the
    key changes from step to step, as in a warm-up, nothing is recorded.

    Args:
        step: takes a step on a batch, without waiting for the device; gives the tensor that is of interest.
        record: a function without arguments -> (what replays it, the tensor it fills); recording runs nothing.
        aside: a context for steps that are run to warm up.
    """

    def __init__(self, step: Callable[[Batch], Tensor], record: Record, aside: Callable[[], Any]) -> None:
        self.step, self.record, self.aside = step, record, aside
        self.key: Hashable = None
        self.taken = 0  # steps of this key
        self.replay: Callable[[], None] | None = None
        self.recordable = True

    def __call__(self, batch: Batch, key: Hashable) -> Tensor:
        """Take one step; its tensor holds until the next."""
        key = key, batch.images.shape, batch.images.dtype
        if key != self.key:
            self.key, self.taken, self.replay = key, 0, None
        self.taken += 1
        if self.taken <= WARM_UP:
            with self.aside():
                return self.step(batch)
        if self.replay is None and self.recordable:
            self._make_recording(batch)
        if self.replay is None:
            return self.step(batch)
        self.batch.images.copy_(batch.images)
        self.batch.labels.copy_(batch.labels)
        self.replay()
        return self.result

    def _make_recording(self, batch: Batch) -> None:
        self.batch = batch._replace(images=batch.images.clone(), labels=batch.labels.clone())
        try:
            self.replay, self.result = self.record(lambda: self.step(self.batch))
        except RuntimeError as error:
            self.recordable = False
            log.info(f"steps are taken one by one, since they can't be recorded: {first_line(error)}")


def on_cuda(step: Callable[[Batch], Tensor]) -> StepGraph:
    """With the present CUDA device's graphs."""
    side = torch.cuda.Stream()

    def record(function: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side):
            result = function()
        return graph.replay, result

    @contextmanager
    def aside() -> Iterator[None]:
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            yield
        torch.cuda.current_stream().wait_stream(side)

    return StepGraph(step, record, aside)
