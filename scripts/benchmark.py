"""Seconds per epoch of a real run beside those of a bare training loop, measured in turn in one process.

    python scripts/benchmark.py [key=value …]

Takes the keys of train.py. Before every epoch of the run, as train.py runs it (Lightning, validation, logging,
pictures, checkpoints), one epoch of the bare loop is timed on the same training images: the same networks' sizes, the
images as one tensor in memory, fused Adam, and nothing else.
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
from torch import Tensor, nn
from torch.nn import functional as F

from mnist_vae import cli
from mnist_vae.training import train

WARM_UP = 1  # epochs that are not counted


class Notebook(nn.Module):
    """The notebook's VAE, 784-400-20, written out: no class of this project is used."""

    def __init__(self, latent_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, hidden_dim)
        self.mean, self.log_var = nn.Linear(hidden_dim, latent_dim), nn.Linear(hidden_dim, latent_dim)
        self.decoder = nn.Sequential(nn.Linear(latent_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, 784))

    def loss(self, x: Tensor) -> Tensor:
        """The negative ELBO, summed over images (n, 784)."""
        hidden = torch.relu(self.hidden(x))
        mean, log_var = self.mean(hidden), self.log_var(hidden)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)
        reconstruction = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        return reconstruction - 0.5 * (1 + log_var - mean.square() - log_var.exp()).sum()


class BareLoop(pl.Callback):
    """Times an epoch of the bare loop before each epoch of the run it belongs to."""

    seconds: list[float] = []  # of the class, since the run builds the object  # noqa: RUF012
    losses: list[float] = []  # noqa: RUF012

    def __init__(self, latent_dim: int, hidden_dim: int, batch_size: int, lr: float) -> None:
        self.model = Notebook(latent_dim, hidden_dim)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr, fused=True)
        self.batch_size = batch_size

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        images = trainer.datamodule.train_split[0].flatten(1)  # type: ignore[attr-defined]
        start = time.perf_counter()
        total = torch.zeros(())
        for indices in torch.randperm(len(images)).split(self.batch_size):
            x = images[indices].float().div_(255)
            self.optimizer.zero_grad()
            loss = self.model.loss(x) / len(x)
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(x)
        BareLoop.losses.append(float(total) / len(images))
        BareLoop.seconds.append(time.perf_counter() - start)


def main() -> None:
    with initialize_config_dir(str(cli.CONFIGS), version_base="1.3"):
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
