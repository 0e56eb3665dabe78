"""Test ELBO against seconds of training; the clock stands still while the ELBO is measured.

As a script, it trains what this project is compared with, and writes the curve to a file:

    python scripts/benchmarks/curves.py name seed epochs file [root]
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from mnist_vae.data.mnist import TorchvisionSource
from mnist_vae.objectives import ELBO
from mnist_vae.utils.io import write_json
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.seeding import Noise

FIRST, GROWTH = 20, 1.35  # the ELBO is measured after these many steps, then after each that is so many times as late
FILE = "curve.json"


class Curve(NamedTuple):
    """The progress of one training.

    Attributes:
        first_step: when it began, in seconds since the epoch.
        points: (seconds since the first step, test ELBO).
    """

    first_step: float
    points: list[tuple[float, float]]


class Clock:
    """Seconds since it was made, but for those in which it stood still."""

    def __init__(self) -> None:
        self.made = time.time()
        self.start = time.perf_counter()
        self.points: list[tuple[float, float]] = []

    def measure(self, elbo: Callable[[], float]) -> None:
        """Note a point; the time that measuring takes does not count."""
        stopped = time.perf_counter()
        self.points.append((stopped - self.start, elbo()))
        self.start += time.perf_counter() - stopped

    def write(self, file: Path) -> None:
        write_json(file, {"first_step": self.made, "points": self.points})


class CurveCallback(pl.Callback):
    """Writes the curve of a run to curve.json in its folder."""

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 0:
            self.clock, self.due = Clock(), FIRST

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        if trainer.global_step >= self.due:
            self.due = max(self.due + FIRST, round(GROWTH * self.due))
            images, labels = trainer.datamodule.test_split  # type: ignore[attr-defined]
            self.clock.measure(lambda: test_elbo(module.vae, images, labels))

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # The ELBO of the tested weights, which can be an average, comes from metrics.json.
        self.clock.measure(lambda: float("nan"))
        self.clock.write(Path(trainer.default_root_dir, FILE))


@torch.no_grad()
def test_elbo(vae: Any, images: Tensor, labels: Tensor) -> float:
    """A run's ELBO on uint8 images, with one draw of z for each."""
    noise = Noise(len(images), generator=torch.Generator().manual_seed(0))
    terms = ELBO(beta=1.0)(vae, to_unit(images), labels, 0.0, noise)
    return -float((terms.reconstruction + terms.kl).mean())


def read_curve(folder: Path) -> Curve:
    """The curve of a run, ending with the ELBO of its test."""
    found = json.loads((folder / FILE).read_text())
    *points, (end, _) = found["points"]
    elbo = json.loads((folder / "metrics.json").read_text())["test/elbo"]
    return Curve(found["first_step"], [*points, (end, elbo)])


def seconds_to(curve: Curve, elbo: float) -> float:
    """Seconds until an ELBO is reached, interpolated linearly between two points; infinite if it is not."""
    before = None
    for seconds, value in curve.points:
        if value >= elbo:
            if before is None or before[1] == value:
                return seconds
            share = (elbo - before[1]) / (value - before[1])
            return before[0] + share * (seconds - before[0])
        before = seconds, value
    return float("inf")


def competitor_curve(name: str, seed: int, epochs: int, root: str) -> Clock:
    """Train a competitor on the images of a default run; its test ELBO after each epoch."""
    from benchmarks.competitors import NotebookLoop, Pythae

    arrays = TorchvisionSource("MNIST", root).load()
    held_out, images = arrays.train_images[:5000], arrays.train_images[5000:]
    test = to_unit(arrays.test_images).flatten(1)
    torch.manual_seed(seed)
    loop: Any = NotebookLoop(images, 128, 1e-3) if name == NotebookLoop.name else Pythae(images, 128, 1e-3, held_out)

    @torch.no_grad()
    def elbo() -> float:
        with torch.random.fork_rng():
            if name == NotebookLoop.name:
                return -float(loop.model.loss(test)) / len(test)
            return -float(loop.trainer.model({"data": test}).loss)

    clock = Clock()
    for _ in range(epochs):
        loop.epoch()
        clock.measure(elbo)
    return clock


def main() -> None:
    name, seed, epochs, file, *rest = sys.argv[1:]
    root = rest[0] if rest else os.environ.get("MNIST_VAE_DATA") or "data"
    competitor_curve(name, int(seed), int(epochs), root).write(Path(file))


if __name__ == "__main__":
    main()
