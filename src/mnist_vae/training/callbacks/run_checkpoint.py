"""A run's checkpoints: the best epoch's, and the last one's to resume from."""

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from mnist_vae.runs.checkpoints import AtomicCheckpointIO, read_checkpoint
from mnist_vae.training.callbacks.epoch_recorder import EpochRecorder
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.io import write_atomically


class RunCheckpoint(pl.callbacks.Checkpoint):
    """Write checkpoints/best.ckpt and checkpoints/last.ckpt after each epoch.

    pl's ModelCheckpoint saves no best checkpoint of a run that ends before its first validation, and serialises an
    epoch that is both best and last twice.

    Args:
        recorder: has the metrics of the epochs.
        monitor: the metric that chooses the best epoch; None for the last epoch.
        mode: `max` if it is to be large, `min` if it is to be small.
    """

    def __init__(self, recorder: EpochRecorder, monitor: str | None, mode: str) -> None:
        self.recorder, self.monitor, self.mode = recorder, monitor, mode
        self.folder: Path = recorder.folder / "checkpoints"
        self.stopped_early = False

    @property
    def best(self) -> dict[str, float]:
        """The row of the epoch in best.ckpt: the last one, as long as none has a finite value of the metric."""
        rows = self.recorder.rows
        scored = [row for row in rows if self.monitor and math.isfinite(row.get(self.monitor, math.nan))]
        sign = 1 if self.mode == "max" else -1
        return max(scored, key=lambda row: sign * row[self.monitor]) if scored else rows[-1]  # type: ignore[index]

    def state_dict(self) -> dict[str, Any]:
        return {"stopped_early": self.stopped_early}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.stopped_early = state_dict["stopped_early"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Lightning does not keep that a callback had stopped the training, and would train one more epoch.
        trainer.should_stop = trainer.should_stop or self.stopped_early

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._check_monitor()
        self.stopped_early = bool(trainer.should_stop)
        best, last = (self.folder / f"{name}.ckpt" for name in ("best", "last"))
        # Every process takes part in saving.
        if self.best is self.recorder.rows[-1]:
            trainer.save_checkpoint(best, weights_only=False)
            if trainer.is_global_zero:
                write_atomically(last, best.read_bytes())
        else:
            trainer.save_checkpoint(last, weights_only=False)
        if trainer.is_global_zero:
            self.recorder.end_epoch(trainer.max_epochs)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.recorder.rows and trainer.is_global_zero:
            self.recorder.write()
            self._save_averaged(pl_module)

    def _save_averaged(self, pl_module: pl.LightningModule) -> None:
        """Make the module's weights the best ones if a callback, such as StochasticWeightAveraging, has changed them
        after the last epoch."""
        last, present = read_checkpoint(self.folder / "last.ckpt"), pl_module.state_dict()
        if not all(torch.equal(weights.cpu(), last["state_dict"][name]) for name, weights in present.items()):
            AtomicCheckpointIO().save_checkpoint(last | {"state_dict": present}, self.folder / "best.ckpt")

    def _check_monitor(self) -> None:
        row = self.recorder.rows[-1]
        split = str(self.monitor).partition("/")[0]
        known = [name for name in row if name.startswith(f"{split}/")]
        if self.monitor is not None and known and self.monitor not in row:
            raise SettingsError(f"monitor={self.monitor}: there is no such metric; there are {', '.join(known)}.")
