"""The progress bar of a run."""

from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm

LOOK = 50  # batches between two reads of the loss


class Progress(pl.callbacks.ProgressBar):
    """One bar over all the epochs of a run, where Lightning's own has one for each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: tqdm | None = None

    def enable(self) -> None:
        """Do nothing: Lightning's tuner calls it after its own fit, which had `disable` called before."""

    def disable(self) -> None:
        """Do nothing: Lightning calls it on all processes but the first, which `on_train_start` checks."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            steps = trainer.estimated_stepping_batches
            self._bar = tqdm(
                total=int(steps) if 0 < steps < float("inf") else None,
                initial=trainer.global_step,
                unit="step",
                leave=False,
                disable=None,
                dynamic_ncols=True,
                bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} steps, {remaining} left{postfix}",
            )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._bar is not None:
            self._bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}", refresh=False)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is not None and not self._bar.disable:
            if (batch_idx + 1) % LOOK == 0 and (
                loss := trainer.progress_bar_metrics.get("train/loss_step")
            ) is not None:
                self._bar.set_postfix_str(f"loss {loss:.2f}", refresh=False)
            self._bar.update(trainer.global_step - self._bar.n)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
