"""The LightningModule: one training step, its bookkeeping, and evaluation."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor

from mnist_vae.analysis import metrics
from mnist_vae.data.batches import Batch, Stretch
from mnist_vae.data.datamodule import EVALUATION_SEED
from mnist_vae.models.vae import VAE
from mnist_vae.objectives import Terms
from mnist_vae.training.capture import StepGraph
from mnist_vae.utils.errors import TrainingDiverged
from mnist_vae.utils.seeding import Noise, seed_everything

Objective = Callable[[VAE, Tensor, float, Noise], Terms]


class VAEModule(pl.LightningModule):
    """Trains a VAE by an objective, and reports `loss`, `elbo`, `reconstruction`, `kl` in nats per image.

    Args:
        vae: the model.
        objective: what is minimised; see the package objectives.
        make_optimizer: parameters -> optimiser.
        lr_factor: epochs trained (fractions count) -> factor of the learning rate, taken at every step; None for 1.
        seed: of the noise of training.
        log_every_n_steps: steps between two looks at the losses, which cost a wait for the device.
        make_graph: what takes steps by replaying a recorded one, given how a step is taken; see capture. It is used
            if all that a step depends on is known, and nobody listens to what goes on inside it.
    """

    def __init__(
        self,
        vae: VAE,
        objective: Objective,
        make_optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer],
        seed: int,
        log_every_n_steps: int,
        lr_factor: Callable[[float], float] | None = None,
        make_graph: Callable[[Callable[[Batch], Tensor]], StepGraph] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # for then each call of training_step would have to be one step
        self.vae = vae
        self.objective = objective
        self.make_optimizer = make_optimizer
        self.lr_factor = lr_factor
        self.seed = seed
        self.log_every_n_steps = log_every_n_steps
        self.make_graph = make_graph
        self.steps_in_epoch = 1
        self._graph: StepGraph | None = None
        self.results: dict[str, float] = {}  # the latest of each metric, before Lightning makes it a float32
        self.latest_loss: float | None = None  # mean over the last window, for the progress bar

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.parameters())
        if self.make_graph is not None:
            for group in optimizer.param_groups:
                group |= {"capturable": True} if "capturable" in group else {}
        if self.lr_factor is None:
            return optimizer
        factor, steps = self.lr_factor, self._steps_per_epoch()
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(step / steps))]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # What loading.open_run needs beside the config.
        checkpoint |= {"image_shape": list(self.vae.image_shape), "classes": self.vae.classes}

    # Training

    def on_train_epoch_start(self) -> None:
        seed_everything(self.seed, self.current_epoch)
        self.steps_in_epoch = self._steps_per_epoch()
        self._step = 0  # of the epoch
        self._unwatched = self._is_unwatched()
        self._graph = self._graph or self._step_graph()
        self._window = TermSums(self.log_every_n_steps, self.device)
        self._pending: dict[str, float] | None = None  # of the latest look, until the gradient is there
        self._gradient_norms: list[float] = []
        self._epoch_sums = torch.zeros(3, dtype=torch.float64)
        self._epoch_images = 0

    def training_step(self, stretch: Stretch, batch_idx: int) -> None:
        """Several steps, so that what Lightning does around each call is done for all of them once."""
        optimizer: Any = self.optimizers()
        for batch in stretch:
            self.step(batch, optimizer)

    def step(self, batch: Batch, optimizer: LightningOptimizer) -> None:
        """One step of the optimiser."""
        if self._graph is not None and batch.total == self.trainer.datamodule.batch_size:  # type: ignore[attr-defined]
            self._step_by_graph(batch, self._graph)
        else:
            self._step_by_itself(batch, optimizer)
        if self.lr_factor is not None:
            self.lr_schedulers().step()  # type: ignore[union-attr]
        self._step += 1

    def _step_by_itself(self, batch: Batch, optimizer: LightningOptimizer) -> None:
        vae = self.vae.given(batch.labels)
        terms = self.objective(vae, batch.images, self._epochs_done(self._step), self._noise(batch))
        self._window.add(sums(terms), batch.total)
        if self._window.full or self._step + 1 == self.steps_in_epoch:
            self._close_window(self._step)
        optimizer.optimizer.zero_grad()
        # DDP averages gradients over processes; this weight makes that the mean over the images of all of them.
        loss = terms.loss.sum() * (self.trainer.world_size / batch.total)
        if self._unwatched:
            loss.backward()
            if self._pending is not None:
                self.on_before_optimizer_step(optimizer.optimizer)
            optimizer.optimizer.step()
            self._count_step()
        else:
            self.manual_backward(loss)
            optimizer.step()

    def _step_graph(self) -> StepGraph | None:
        """What records and replays steps, if that gives the same as taking them."""
        told = hasattr(self.objective, "in_force")  # of others it isn't known what they make of the epoch
        able = all(group.get("capturable") for group in self.trainer.optimizers[0].param_groups)
        usable = self.make_graph is not None and self._unwatched and told and able
        return self.make_graph(self._recorded_step) if usable and self.make_graph is not None else None

    def _step_by_graph(self, batch: Batch, graph: StepGraph) -> None:
        key = *self._in_force(self._epochs_done(self._step)).items(), self._lr()
        sums_and_norm = graph(batch, key)
        self._count_step()
        self._window.add(sums_and_norm[:3], batch.total)
        if self._window.full or self._step + 1 == self.steps_in_epoch:
            self._close_window(self._step)
            self._log_pending(float(sums_and_norm[3]), step=self.trainer.global_step)

    def _recorded_step(self, batch: Batch) -> Tensor:
        """The step itself, from the batch to the new weights, (4,): sums of the terms, and the gradient's norm."""
        optimizer = self.trainer.optimizers[0]
        vae = self.vae.given(batch.labels)
        terms = self.objective(vae, batch.images, self._epochs_done(self._step), self._noise(batch))
        optimizer.zero_grad()
        (terms.loss.sum() / batch.total).backward()
        norm = self._gradient_norm()
        optimizer.step()
        return torch.cat([sums(terms), norm[None]])

    def _is_unwatched(self) -> bool:
        """Whether nothing is to happen between gradient and step that Lightning would have to see to.

        Asking each callback at each of its hooks takes a tenth of the time of a small model's step.
        """
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        hooks = "on_before_backward", "on_after_backward", "on_before_optimizer_step"
        heard = any(is_overridden(hook, one) for hook in hooks for one in self.trainer.callbacks)  # type: ignore[attr-defined]
        return self.trainer.world_size == 1 and scaler is None and not heard

    def _count_step(self) -> None:
        """Have trainer.global_step count a step that was not taken through Lightning's optimiser."""
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.increment_ready()
        progress.increment_completed()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self._pending is None:
            return
        norm = self._gradient_norm().item()
        scaler: Any = getattr(self.trainer.precision_plugin, "scaler", None)
        # In half precision the loss is scaled up, and a fused optimiser itself takes the scale out again.
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            norm /= scaler.get_scale()
        self._log_pending(norm, step=self.trainer.global_step + 1)  # the step under way is counted once it is done

    def _log_pending(self, norm: float, step: int) -> None:
        assert self._pending is not None
        self._gradient_norms.append(norm)
        self._to_loggers(self._pending | {"within_epoch/gradient_norm": norm}, step)
        self._pending = None

    def on_train_epoch_end(self) -> None:
        self._report("train", self._epoch_sums / self._epoch_images)
        norms = self._gradient_norms
        values = {"gradient_norm": sum(norms) / len(norms), "lr": self._lr(), **self._in_force(self._epochs_done())}
        self._publish({f"train/{name}": value for name, value in values.items()})

    def _close_window(self, batch_idx: int) -> None:
        """Look at the losses since the last look: add them to the epoch's, log their mean, stop if one is NaN."""
        rows, images = self._window.take(self.trainer.strategy)
        bad = (~rows[:, 0].isfinite()).nonzero()
        if len(bad):
            step = batch_idx + 1 - len(rows) + int(bad[0])
            raise TrainingDiverged(
                f"the loss was not a finite number at epoch {self.current_epoch + 1}, step {step + 1} of "
                f"{self.steps_in_epoch}; training stopped there. A lower lr (now {self._lr():g}) usually helps."
            )
        self._epoch_sums += rows.sum(dim=0)
        self._epoch_images += images
        loss, reconstruction, kl = (rows.sum(dim=0) / images).tolist()
        self.latest_loss = loss
        values = {
            "loss": loss,
            "reconstruction": reconstruction,
            "kl": kl,
            **self._in_force(self._epochs_done(batch_idx)),
        }
        self._pending = {f"within_epoch/{name}": value for name, value in values.items()}

    def _gradient_norm(self) -> Tensor:
        """Euclidean norm of the gradients that the parameters hold, all together, ()."""
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        return torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]).norm()

    def _in_force(self, epoch: float) -> dict[str, float]:
        """What the objective's schedules have come to."""
        in_force = getattr(self.objective, "in_force", None)
        return in_force(epoch) if in_force is not None else {}

    # Evaluation

    def on_validation_epoch_start(self) -> None:
        self._start_evaluation()

    def on_test_epoch_start(self) -> None:
        self._start_evaluation()

    def validation_step(self, stretch: Stretch, batch_idx: int) -> None:
        self._evaluate(stretch)

    def test_step(self, stretch: Stretch, batch_idx: int) -> None:
        self._evaluate(stretch)

    def on_validation_epoch_end(self) -> None:
        self._report_evaluation("val")

    def on_test_epoch_end(self) -> None:
        self._report_evaluation("test")

    def _start_evaluation(self) -> None:
        # The same draws at every evaluation of every run, on whatever device: differences are the model's.
        self._generator = torch.Generator().manual_seed(EVALUATION_SEED)
        self._sums = torch.zeros(3, dtype=torch.float64)
        self._images = 0
        self._means: list[Tensor] = []

    def _evaluate(self, stretch: Stretch) -> None:
        for batch in stretch:
            vae = self.vae.given(batch.labels)
            terms = self.objective(vae, batch.images, self._epochs_done(), self._noise(batch, self._generator))
            self._sums += torch.stack([term.sum() for term in terms]).cpu().double()
            self._images += batch.total
            noise, means = self._noise(batch), vae.encode(batch.images).mean
            rows = means.new_zeros(batch.total, means.shape[1])  # zero where other processes have their images
            rows[noise.rank :: noise.world_size] = means
            self._means.append(rows)

    def _report_evaluation(self, split: str) -> None:
        sums = self._sums.to(self.device, torch.float32 if self.device.type == "mps" else torch.float64)
        self._report(split, self.trainer.strategy.reduce(sums, reduce_op="sum").cpu() / self._images)
        means = self.trainer.strategy.reduce(torch.cat(self._means), reduce_op="sum")
        self._publish({f"{split}/active_units": float(metrics.active_units(means.cpu()))})

    # Both

    def _epochs_done(self, batch_idx: int | None = None) -> float:
        """Epochs trained so far, as a fraction while one is under way."""
        if batch_idx is None:
            # Just before that moment, since a schedule that begins again each epoch would have begun again.
            return math.nextafter(self.trainer.global_step / self.steps_in_epoch, 0.0)
        return self.current_epoch + batch_idx / self.steps_in_epoch

    def _steps_per_epoch(self) -> int:
        return self.trainer.datamodule.steps_per_epoch  # type: ignore[attr-defined]

    def _noise(self, batch: Batch, generator: torch.Generator | None = None) -> Noise:
        return Noise(batch.total, self.trainer.global_rank, self.trainer.world_size, generator)

    def _report(self, split: str, means: Tensor) -> None:
        loss, reconstruction, kl = means.tolist()
        values = {
            "loss": loss,
            "elbo": metrics.elbo(reconstruction, kl),
            "reconstruction": reconstruction,
            "kl": kl,
        }
        self._publish({f"{split}/{name}": value for name, value in values.items()})

    def _publish(self, values: dict[str, float]) -> None:
        # To callbacks only: the Recorder passes them on to the loggers, with the checkpoint they belong to. All
        # processes hold the same values already; sync_dist is how Lightning wants to be told that this is meant.
        self.results |= values
        self.log_dict(values, logger=False, sync_dist=self.trainer.world_size > 1)

    def _lr(self) -> float:
        return self.trainer.optimizers[0].param_groups[0]["lr"]

    def _to_loggers(self, values: dict[str, float], step: int) -> None:
        for logger in self.trainer.loggers:
            logger.log_metrics(values, step=step)


def sums(terms: Terms) -> Tensor:
    """Of each term over the images, (3,), without its gradient."""
    return torch.stack(terms).detach().sum(dim=1)


class TermSums:
    """Sums of the terms of up to `size` steps, kept on the device until they are looked at."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.rows = torch.zeros(size, 3, device=device)
        self.filled = 0
        self.images = 0

    @property
    def full(self) -> bool:
        return self.filled == len(self.rows)

    def add(self, row: Tensor, images: int) -> None:
        """Take in one step's sums (3,); `images` is the size of the whole batch."""
        self.rows[self.filled] = row
        self.filled += 1
        self.images += images

    def take(self, strategy: pl.strategies.Strategy) -> tuple[Tensor, int]:
        """The sums of each step over all processes, (steps, 3) float64 on the CPU, and the images; then empty."""
        rows = strategy.reduce(self.rows[: self.filled], reduce_op="sum").cpu().double()
        images = self.images
        self.filled = self.images = 0
        return rows, images
