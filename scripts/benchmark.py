"""Seconds per epoch of a real run beside those of a bare training loop, measured in turn in one process.

    python scripts/benchmark.py [key=value …]

Takes the keys of train.py, with model=mlp and one hidden layer. Before every epoch of the run, as train.py runs it
(Lightning, validation, logging, pictures, checkpoints), one epoch of the bare loop of notebook.py is timed on the same
training images: networks of the same size, the images as one tensor in memory, fused Adam, and nothing else.
"""

import csv
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mnist_vae import cli
from mnist_vae.sentences import CONFIGS
from mnist_vae.training import train
from notebook import Notebook, train_epoch

WARM_UP = 1  # epochs that are not counted


class BareLoop(pl.Callback):
    """Times an epoch of the bare loop before each epoch of the run it belongs to."""

    seconds: list[float] = []  # of the class, since the run builds the object  # noqa: RUF012
    losses: list[float] = []  # noqa: RUF012

    def __init__(self, latent_dim: int, hidden_dim: int, batch_size: int, lr: float) -> None:
        self.model = Notebook(hidden_dim, latent_dim)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr, fused=True)
        self.batch_size = batch_size

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        images = trainer.datamodule.train_split[0].flatten(1)  # type: ignore[attr-defined]
        start = time.perf_counter()
        BareLoop.losses.append(train_epoch(self.model, self.optimizer, images, self.batch_size))
        BareLoop.seconds.append(time.perf_counter() - start)


def main() -> None:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = compose("train", overrides=["accelerator=cpu", "max_epochs=6", *sys.argv[1:]])
    bare = {"_target_": "benchmark.BareLoop", "latent_dim": cfg.latent_dim, "hidden_dim": cfg.model.hidden_dims[0]}
    OmegaConf.update(cfg, "callbacks.bare", bare | {"batch_size": cfg.batch_size, "lr": cfg.lr}, force_add=True)
    with tempfile.TemporaryDirectory() as folder:
        train(cfg, folder)
        with (Path(folder) / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))

    from benchmark import BareLoop as Measured  # the run imported this file by name, apart from __main__

    ours = [float(row["seconds"]) for row in rows][WARM_UP:]
    theirs = Measured.seconds[WARM_UP:]
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"{len(ours)} epochs after {WARM_UP} of warm-up, {torch.get_num_threads()} threads     median   min    max")
    for name, values in (("run, s/epoch", ours), ("bare loop, s/epoch", theirs), ("ratio, epoch by epoch", ratios)):
        print(f"{name:48} {statistics.median(values):6.2f} {min(values):6.2f} {max(values):6.2f}")
    print(f"last epoch's training loss: run {float(rows[-1]['train/loss']):.2f}, bare loop {Measured.losses[-1]:.2f}")


if __name__ == "__main__":
    cli.run(main)
