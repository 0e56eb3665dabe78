"""When to record, draw and show progress."""

import csv
import io
import logging
import math
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from tqdm import tqdm

from mnist_vae import figures
from mnist_vae.analysis.encoding import encode_images
from mnist_vae.figures.png import png
from mnist_vae.figures.run_figures import kl_bars
from mnist_vae.figures.sample_images import Gallery
from mnist_vae.training.loggers import TensorBoard
from mnist_vae.training.module import VAEModule
from mnist_vae.utils.io import write_atomically

log = logging.getLogger(__name__)


class Recorder(pl.callbacks.Checkpoint):
    """Commits an epoch: its row in metrics.csv, its scalars to the loggers, best.ckpt, and last.ckpt at the end.

    A run is resumed from last.ckpt, so everything of an epoch is written before it; a run killed in between
    does that epoch again and overwrites. Being a Checkpoint, it runs after all other callbacks.

    Args:
        folder: the run's folder.
        best_by: by what the best epoch is told: the highest `val/elbo`, the lowest `val/loss`, or the `last`.
    """

    def __init__(self, folder: Path, best_by: str = "val/elbo") -> None:
        self.folder = folder
        self.best_by = best_by
        self.rows: list[dict[str, float]] = []
        self.stopped_early = False

    @property
    def best(self) -> dict[str, float]:
        """The row of the epoch in best.ckpt; the last one if nothing is held out."""
        sign = -1 if self.best_by == "val/loss" else 1
        scored = [row for row in self.rows if math.isfinite(row.get(self.best_by, math.nan))]
        return max(scored, key=lambda row: sign * row[self.best_by]) if scored else self.rows[-1]

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "stopped_early": self.stopped_early}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.stopped_early = state_dict["rows"], state_dict["stopped_early"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Lightning forgets that a resumed run had been told to stop, and would train one more epoch.
        trainer.should_stop = trainer.should_stop or self.stopped_early

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, VAEModule)
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        values = dict(sorted((logged | pl_module.results).items()))  # what others logged, then ours in full precision
        seconds = time.perf_counter() - self._started
        values["train/images_per_second"] = len(trainer.datamodule.train_split[0]) / seconds  # type: ignore[attr-defined]
        self.rows.append(
            {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "seconds": seconds, **values}
        )
        if trainer.is_global_zero:
            self._write_csv()
            for logger in trainer.loggers:
                logger.log_metrics(values, step=trainer.global_step)
                logger.save()
        self.stopped_early = bool(trainer.should_stop)
        # Every process must take part in saving.
        best, last = (self.folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
        if self.best is self.rows[-1]:
            trainer.save_checkpoint(best)
            if trainer.is_global_zero:
                write_atomically(last, best.read_bytes())  # what need not be packed a second time
        else:
            trainer.save_checkpoint(last)
        # The checkpoints are part of what an epoch costs; metrics.csv gets to know with the next row, or at the end.
        self.rows[-1]["seconds"] = time.perf_counter() - self._started
        if trainer.is_global_zero:
            log.info(self._line(trainer.max_epochs))

    @rank_zero_only
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.rows:
            self._write_csv()

    def _line(self, max_epochs: int | None) -> str:
        row = self.rows[-1]
        val = f"   val elbo {row['val/elbo']:9.3f}" if "val/elbo" in row else ""
        epoch = f"epoch {row['epoch']:{len(str(max_epochs))}d}/{max_epochs}"
        return f"{epoch}   train loss {row['train/loss']:9.3f}{val}   {row['seconds']:5.1f} s"

    def _write_csv(self) -> None:
        text = io.StringIO()
        names = dict.fromkeys(name for row in self.rows for name in row)
        writer = csv.DictWriter(text, fieldnames=list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.folder / "metrics.csv", text.getvalue().encode())


class StopOnTerminate(pl.Callback):
    """SIGTERM stops a run as Ctrl-C does.

    Lightning's own handler starts a collective operation from inside the signal, which hangs when the processes are
    in the middle of another one. It is registered before these hooks are called, and put back after them.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)

    on_test_start = on_train_start


class EpochImages(pl.Callback):
    """Originals over reconstructions, and samples from fixed noise, as PNG and in TensorBoard; there also the KL of
    each latent dimension.

    Args:
        every_n_epochs: epochs from one drawing to the next; the last of max_epochs is always drawn.
    """

    KL_IMAGES = 1000

    def __init__(self, every_n_epochs: int = 1) -> None:
        if every_n_epochs < 1:
            raise ValueError(f"every_n_epochs is {every_n_epochs}; it must be 1 or more")
        self.every_n_epochs = every_n_epochs

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs and epoch != trainer.max_epochs:
            return
        assert isinstance(pl_module, VAEModule) and trainer.datamodule is not None  # type: ignore[attr-defined]
        split = trainer.datamodule.test_split  # type: ignore[attr-defined]
        gallery = Gallery.of(pl_module.vae, split)
        pairs = torch.cat([gallery.originals, gallery.reconstructions]).numpy()
        pictures = {
            "reconstructions": png(figures.image_grid(pairs, columns=len(gallery.labels))),
            "samples": png(figures.image_grid(gallery.samples.numpy(), columns=10)),
        }
        for name, picture in pictures.items():
            path = Path(trainer.default_root_dir) / "figures" / "epochs" / f"{name}_{epoch:04d}.png"
            write_atomically(path, picture)
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoard)]
        if boards:
            posterior = encode_images(pl_module.vae, *(part[: self.KL_IMAGES] for part in split))
            bars = kl_bars(pl_module.vae, posterior, f"epoch {epoch}", numbered=False)
            if bars is not None:
                pictures["kl_per_dimension"] = png(figures.pixels(bars, dpi=100))
        for board in boards:
            for name, picture in pictures.items():
                board.write_picture(f"visuals/{name}", picture, trainer.global_step)


class Progress(pl.callbacks.ProgressBar):
    """One bar over all the epochs of a run."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: tqdm | None = None

    def disable(self) -> None:
        """Lightning calls it on all processes but the first; on_train_start knows already."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            steps = trainer.datamodule.steps_per_epoch  # type: ignore[attr-defined]
            self._bar = tqdm(
                total=steps * (trainer.max_epochs or 1),
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
        if self._bar is not None:
            assert isinstance(pl_module, VAEModule)
            if pl_module.latest_loss is not None:
                self._bar.set_postfix_str(f"loss {pl_module.latest_loss:.2f}", refresh=False)
            self._bar.update(trainer.global_step - self._bar.n)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._bar is not None:
            self._bar.update(trainer.global_step - self._bar.n)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
