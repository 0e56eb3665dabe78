"""The LightningModule: the training and evaluation of a VAE on a batch."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import Tensor

from mnist_vae.analysis import metrics
from mnist_vae.config.build import (
    build_lr_factor,
    build_objective,
    build_optimizer,
    build_vae,
    initialize,
    parameter_groups,
)
from mnist_vae.data.batches import EVALUATION_SEED
from mnist_vae.training.accumulators import LatentVariance, TermSums
from mnist_vae.utils.compat import gradient_scale
from mnist_vae.utils.errors import TrainingDiverged
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.seeding import Noise, seed_everything


class VAEModule(pl.LightningModule):
    """A VAE, trained by an objective; logs `loss`, `elbo`, `reconstruction` and `kl` in nats per image.

    A batch is a pair of images (n, channels, height, width), uint8 or float in [0, 1], and labels (n,).

    Args:
        config: an experiment's config, resolved, as plain data; see config.schema.Config.
        image_shape: (channels, height, width).
        classes: number of labels, for a conditional VAE.
        train_size: training images, for objectives that need their number.
        mean_pixel: mean of the training images, one per channel, in [0, 1], for the initial weights.

    Raises:
        SettingsError: a value of the config is wrong.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        image_shape: tuple[int, int, int],
        classes: int,
        train_size: int,
        mean_pixel: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.cfg: Any = OmegaConf.create(dict(config))
        self.vae = build_vae(self.cfg, image_shape, classes)
        initialize(self.cfg, self.vae, None if mean_pixel is None else torch.tensor(mean_pixel))
        self.objective = build_objective(self.cfg, train_size)
        self.lr: float = self.cfg.optimizer.get("lr", self.cfg.lr)  # Tuner.lr_find sets it
        self.epochs_trained = 0.0  # fractions count
        self._start_epoch()

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Reconstruct images (n, channels, height, width), uint8 or float in [0, 1], from their posterior means."""
        return self.vae.reconstruct(self._unit(images), labels)

    def compile_inference(self, mode: str) -> None:
        """Compile `vae.infer_from`, nearly all of a step, by torch.compile; see there for `mode`.

        Neither the noise is drawn in it, so that compiled and eager runs draw the same, nor does it depend on the
        epoch, for whose value a graph would be compiled anew.
        """
        self.vae.infer_from = torch.compile(self.vae.infer_from, mode=mode, dynamic=False)  # type: ignore[method-assign]

    def configure_optimizers(self) -> Any:
        # Lightning can't clip the gradients of a fused optimiser, which unscales them itself, in mixed precision.
        mixed = isinstance(self.trainer.precision_plugin, MixedPrecision)
        fused = False if mixed and self.trainer.gradient_clip_val else None
        optimizer = build_optimizer(self.cfg, parameter_groups(self, self.objective), self.lr, fused)
        if not self.cfg.schedule:
            return optimizer
        self.trainer.fit_loop.setup_data()  # else the number of batches is not known yet
        factor = build_lr_factor(self.cfg, self._epochs_planned())
        # At the middle of the coming step: at its beginning, the first step of a warm-up would change nothing.
        half = 0.5 / self.trainer.num_training_batches
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: factor(self.epochs_trained + half))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _epochs_planned(self) -> float:
        """Epochs until trainer.max_epochs or trainer.max_steps ends the training; infinite if that is not known."""
        trainer = self.trainer
        if math.isinf(trainer.num_training_batches):  # of a loader without a length
            return math.inf
        epochs = math.inf if trainer.max_epochs in (None, -1) else float(trainer.max_epochs)
        if trainer.max_steps == -1:
            return epochs
        return min(epochs, trainer.max_steps * trainer.accumulate_grad_batches / trainer.num_training_batches)

    # Training

    def on_train_epoch_start(self) -> None:
        seed_everything(self.cfg.seed, self.current_epoch)  # so that a resumed run draws what it would have drawn
        self._start_epoch()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, labels, total = self._unpack(batch)
        # Of a loader without a length, the number of batches is infinite.
        epoch, self.epochs_trained = (
            self.current_epoch + done / self.trainer.num_training_batches for done in (batch_idx, batch_idx + 1)
        )
        terms = self.objective(self.vae, images, labels, epoch, self._noise(total))
        self._sums.add(terms, total)
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        self._is_logged = self.trainer.is_last_batch or (every > 0 and (self.global_step + 1) % every == 0)
        if self._is_logged:
            loss, reconstruction, kl = self._collect_sums()
            values = {"reconstruction": reconstruction, "kl": kl, **self._schedule_values(epoch)}
            self._log({"train/loss_step": loss}, prog_bar=True)
            self._log({f"train/{name}_step": value for name, value in values.items()})
        # DDP averages gradients over processes; this weight makes that the mean over the images of all of them.
        return terms.loss.sum() * (self.trainer.world_size / total)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if not self._is_logged:
            return
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        norm = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]).norm().item()
        norm /= gradient_scale(self.trainer, optimizer)
        self._gradient_norms.append(norm)
        self._log({"train/gradient_norm_step": norm})

    def on_train_epoch_end(self) -> None:
        if math.isinf(self.trainer.num_training_batches):
            self.epochs_trained = self.current_epoch + 1.0
        if self._sums.is_pending:  # trainer.max_steps or max_time ended the epoch early
            self._collect_sums()
        values = self._named(self._sums.total / self._sums.images)
        values |= {"lr": self.trainer.optimizers[0].param_groups[0]["lr"], **self._schedule_values(self._epochs_done())}
        if self._gradient_norms:
            values["gradient_norm"] = sum(self._gradient_norms) / len(self._gradient_norms)
        values = {f"train/{name}": value for name, value in values.items()}
        self._log(values, logger=False)
        # Lightning itself passes an epoch's values to the loggers after its checkpoint is saved: a run that was killed
        # in between would go on without them.
        for logger in self.trainer.loggers:
            logger.log_metrics(values, step=self.global_step - 1)

    @property
    def images_in_epoch(self) -> int:
        """Images trained on in the present epoch, over all processes, as far as their losses have been collected."""
        return self._sums.images

    def _start_epoch(self) -> None:
        self._sums = TermSums()
        self._gradient_norms: list[float] = []  # of the steps that are logged
        self._is_logged = False

    def _collect_sums(self) -> list[float]:
        """Means of loss, reconstruction and KL since the last call.

        Raises:
            TrainingDiverged: a loss was not a finite number.
        """
        first = self._sums.steps + 1
        steps, images = self._sums.collect(self.trainer.strategy)
        bad = (~steps[:, 0].isfinite()).nonzero()
        if len(bad):
            raise TrainingDiverged(
                f"the loss was not a finite number at epoch {self.current_epoch + 1}, step {first + int(bad[0])} of "
                f"{self.trainer.num_training_batches}; training stopped there. A lower lr (now {self.lr:g}) usually "
                "helps."
            )
        return (steps.sum(dim=0) / images).tolist()

    # Evaluation

    def on_validation_epoch_start(self) -> None:
        # The same draws at every evaluation of every run, on whatever device: differences are the model's.
        self._generator = torch.Generator().manual_seed(EVALUATION_SEED)
        self._variance = LatentVariance()

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._evaluate(batch, "val")

    def on_validation_epoch_end(self) -> None:
        self._log_active_units("val")

    on_test_epoch_start = on_validation_epoch_start

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._evaluate(batch, "test")

    def on_test_epoch_end(self) -> None:
        self._log_active_units("test")

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Reconstructions of a batch, (n, channels, height, width) in [0, 1]."""
        images, labels, _ = self._unpack(batch)
        return self(images, labels)

    def _evaluate(self, batch: Any, split: str) -> None:
        images, labels, total = self._unpack(batch)
        noise = self._noise(total, self._generator)
        # In mixed precision only the training is: an ELBO of rounded weights would be that of another model.
        with torch.autocast(self.device.type, enabled=False):
            terms = self.objective(self.vae, images, labels, self._epochs_done(), noise)
            posterior = self.vae.encode(images, labels)
        # Lightning averages over processes: with this weight that is the mean over the images of all of them, however
        # many each has, and the size is the same in all, since Lightning rounds the mean of sizes down.
        means = torch.stack(terms).cpu().double().sum(dim=1) * (self.trainer.world_size / total)
        self._log({f"{split}/{name}": value for name, value in self._named(means).items()}, batch_size=total)
        self._variance.add(posterior.mean)

    def _log_active_units(self, split: str) -> None:
        variance = self._variance.compute(self.trainer.strategy)
        self._log({f"{split}/active_units": float((variance > metrics.ACTIVE_VARIANCE).sum())})

    # Both

    def _unpack(self, batch: Any) -> tuple[Tensor, Tensor | None, int]:
        """Images in [0, 1], labels, and the number of images in the whole batch, over all processes."""
        images, *rest = (batch,) if isinstance(batch, Tensor) else batch
        total = getattr(batch, "total", len(images) * self.trainer.world_size)
        return self._unit(images), rest[0] if rest else None, total

    def _unit(self, images: Tensor) -> Tensor:
        return to_unit(images).to(self.dtype)

    def _noise(self, total: int, generator: torch.Generator | None = None) -> Noise:
        return Noise(total, self.global_rank, self.trainer.world_size, generator)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["epochs_trained"] = self.epochs_trained

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.epochs_trained = checkpoint["epochs_trained"]

    def _epochs_done(self) -> float:
        """Epochs trained so far, less a rounding error: at a whole number a cyclic schedule would start again."""
        return math.nextafter(self.epochs_trained, 0.0)

    def _schedule_values(self, epoch: float) -> dict[str, float]:
        values = getattr(self.objective, "schedule_values", None)
        return values(epoch) if values is not None else {}

    def _log(self, values: Mapping[str, float], **options: Any) -> None:
        """Log values in double precision; floats would become single."""
        distributed = self.trainer.world_size > 1
        device = self.device if distributed else None  # the processes average what they log
        tensors = {k: torch.tensor(v, dtype=torch.float64, device=device) for k, v in values.items()}
        self.log_dict(tensors, sync_dist=distributed, **options)

    @staticmethod
    def _named(means: Tensor) -> dict[str, float]:
        loss, reconstruction, kl = means.tolist()
        return {"loss": loss, "elbo": metrics.elbo(reconstruction, kl), "reconstruction": reconstruction, "kl": kl}
