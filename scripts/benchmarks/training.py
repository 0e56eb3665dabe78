"""Suite `train`: an epoch of train.py's real path, and of everything a user might pick instead, taking turns."""

import csv
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from benchmarks.competitors import BareConvLoop, BareLoop, Competitor, NotebookLoop, Pythae, is_installed, step_flops
from benchmarks.results import Comparison, Measured, Results
from mnist_vae.config.schema import CONFIGS
from mnist_vae.training.train import train

WARM_UP = 1  # rounds that are not counted
TURN = 10  # steps of the bare loop before as many of the run
SIDE = 1024  # of the matrices by which the machine's rate is measured


class Turns(pl.Callback):
    """Times the competitors of the run it belongs to: those that give an epoch as a whole before each of the run's;
    the bare loop, of which the most is asked, a few steps before each few of the run's.

    Args:
        model: of the run, `mlp` or `conv`.
        others: names of the competitors beside the bare loop.
        channels: of the convolutions.
        hidden_dim: of the fully connected layer beside them.
    """

    latest: ClassVar["Turns"]  # the run builds the object, and this is how it is found again

    def __init__(
        self,
        model: str,
        others: list[str],
        batch_size: int,
        lr: float,
        channels: list[int] | None = None,
        hidden_dim: int = 0,
    ) -> None:
        self.model, self.others, self.batch_size, self.lr = model, others, batch_size, lr
        self.conv: Any = (channels, hidden_dim)
        self.competitors: list[Competitor] = []
        self.seconds: dict[str, list[float]] = {}
        self.losses: dict[str, list[float]] = {}
        self.floors: list[float] = []
        Turns.latest = self

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        given = trainer.datamodule.train_split[0], self.batch_size, self.lr  # type: ignore[attr-defined]
        self.images = len(given[0])
        self.bare = BareConvLoop(*given, *self.conv) if self.model == "conv" else BareLoop(*given)
        makers: dict[str, Callable[[], Competitor]] = {
            NotebookLoop.name: lambda: NotebookLoop(*given),
            Pythae.name: lambda: Pythae(*given, trainer.datamodule.val_split[0]),  # type: ignore[attr-defined]
        }
        self.competitors = [makers[name]() for name in self.others]
        self.flops = step_flops(self.bare.model, self.batch_size) * self.images / self.batch_size

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for competitor in self.competitors:
            start = time.perf_counter()
            loss = competitor.epoch()
            self._note(competitor.name, time.perf_counter() - start, loss)
        self.floors.append(self.flops / matmul_rate())
        self.steps, self.bare_seconds, self.bare_losses = self.bare.steps(), 0.0, torch.zeros(())

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx % TURN:
            return
        start = time.perf_counter()
        for loss in itertools.islice(self.steps, TURN):
            self.bare_losses += loss
        self.bare_seconds += time.perf_counter() - start

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._note(self.bare.name, self.bare_seconds, float(self.bare_losses) / self.images)

    def _note(self, name: str, seconds: float, loss: float) -> None:
        self.seconds.setdefault(name, []).append(seconds)
        self.losses.setdefault(name, []).append(loss)


def suite(rounds: int, overrides: list[str]) -> Results:
    """Both architectures, `rounds` epochs each after one of warm-up."""
    both = Results("train")
    others = [NotebookLoop.name, *([Pythae.name] if is_installed("pythae") else [])]
    for model, rivals in (("mlp", others), ("conv", [])):
        one = compare(model, rivals, rounds, overrides)
        both.measured += one.measured
        both.comparisons += one.comparisons
    return both


def compare(model: str, others: list[str], rounds: int, overrides: list[str]) -> Results:
    """One architecture, against its bare loop and `others`."""
    # As the others train, so that the losses must agree.
    same = "init=pytorch", "schedule=constant", "lr=1e-3", "latent_dim=20", f"max_epochs={WARM_UP + rounds}"
    cfg = composed(f"model={model}", *same, *overrides)
    turns = {"_target_": "benchmarks.training.Turns", "model": model, "others": others}
    turns |= {"batch_size": cfg.batch_size, "lr": cfg.lr}
    if model == "conv":
        turns |= {"channels": list(cfg.model.channels), "hidden_dim": cfg.model.hidden_dim}
    OmegaConf.update(cfg, "callbacks.turns", turns, force_add=True)
    with tempfile.TemporaryDirectory() as folder:
        train(cfg, folder)
        losses, seconds = _columns(folder, "train/loss", "seconds")
    met = Turns.latest
    name = met.bare.name
    # The bare loop's turns lie within the run's epochs.
    met.seconds["run"] = [both - bare for both, bare in zip(seconds, met.seconds[name], strict=True)]
    met.losses["run"] = losses
    epochs = {
        other: Measured(f"{model}: {other}, an epoch", "s", values[WARM_UP:]) for other, values in met.seconds.items()
    }
    floor = Measured(f"{model}: arithmetic floor, an epoch", "s", met.floors[WARM_UP:])
    rate = Measured(f"{model}: run", "images/s", [met.images / value for value in epochs["run"].values])
    last = [
        Measured(f"{model}: {other}, loss of epoch {cfg.max_epochs}", "nats", values[-1:])
        for other, values in met.losses.items()
    ]
    comparisons = [
        Comparison.quotient(f"{model}: run / {name}", epochs["run"], epochs[name], {"mlp": 1.3, "conv": 1.1}[model]),
        Comparison.quotient(f"{model}: run / arithmetic floor", epochs["run"], floor),
    ]
    for other, target in ((NotebookLoop.name, 2.5), (Pythae.name, 2.0)):
        if other in epochs:
            pair = epochs[other], epochs["run"]
            comparisons.append(Comparison.quotient(f"{model}: {other} / run", *pair, target, "at least"))
    return Results("train", [*epochs.values(), floor, rate, *last], comparisons)


def composed(*overrides: str) -> DictConfig:
    """The config of `python train.py accelerator=cpu <overrides>`."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", overrides=["accelerator=cpu", *overrides])


def matmul_rate(repeats: int = 10) -> float:
    """Floating-point operations a second in products of large square matrices, the best of a few."""
    a, b = torch.rand(2, SIDE, SIDE)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - start)
    return 2 * SIDE**3 / min(seconds)


def _columns(folder: str, *names: str) -> list[list[float]]:
    with (Path(folder) / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [[float(row[name]) for row in rows] for name in names]
