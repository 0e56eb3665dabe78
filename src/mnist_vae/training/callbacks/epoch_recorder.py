"""A run's record of its epochs: metrics.csv, and the rows that metrics.json is made from."""

import csv
import io
import logging
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from mnist_vae.training.module import VAEModule
from mnist_vae.utils.io import write_atomically

log = logging.getLogger(__name__)


class EpochRecorder(pl.callbacks.Checkpoint):
    """Keep a row of metrics for each epoch, and write them to metrics.csv.

    It is a Checkpoint so that Lightning calls it after the module and the callbacks that log metrics. In the list of
    callbacks it stands before RunCheckpoint: a row is on disk before the checkpoint that a run is resumed from.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, float]] = []
        self.images = 0  # trained on, over all epochs
        self._started = time.perf_counter()
        self._validated = False

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "images": self.images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.images = state_dict["rows"], state_dict["images"]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started, self._validated = time.perf_counter(), False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, VAEModule)
        seconds = time.perf_counter() - self._started
        images = pl_module.images_in_epoch
        speed = {"train/images_per_second": images / seconds}
        row = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "seconds": seconds}
        self.rows.append(row | dict(sorted((self._metrics(trainer) | speed).items())))
        self.images += images
        if trainer.is_global_zero:
            self.write()
            for logger in trainer.loggers:
                logger.log_metrics(speed, step=trainer.global_step - 1)
                logger.save()

    def end_epoch(self, max_epochs: int | None) -> None:
        """Count the checkpoint into the epoch's time, and log a line. metrics.csv has it with the next row."""
        row = self.rows[-1]
        row["seconds"] = time.perf_counter() - self._started
        val = f"   val elbo {row['val/elbo']:9.3f}" if "val/elbo" in row else ""
        epoch = f"epoch {row['epoch']:{len(str(max_epochs))}d}/{max_epochs}"
        log.info(f"{epoch}   train loss {row['train/loss']:9.3f}{val}   {row['seconds']:5.1f} s")

    def write(self) -> None:
        """Write metrics.csv."""
        text = io.StringIO()
        names = dict.fromkeys(name for row in self.rows for name in row)
        writer = csv.DictWriter(text, fieldnames=list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.folder / "metrics.csv", text.getvalue().encode())

    def _metrics(self, trainer: pl.Trainer) -> dict[str, float]:
        """The metrics of this epoch. Lightning keeps those of earlier ones, such as of the last validation."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        old = ("test/",) if self._validated else ("test/", "val/")
        return {name: value for name, value in metrics.items() if not name.startswith(old) and name[-5:] != "_step"}
