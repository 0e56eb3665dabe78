"""The step's bookkeeping, on a trainer without loggers or files."""

from collections.abc import Iterable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from mnist_vae.data.batches import STRETCH
from mnist_vae.data.binarize import Binarize
from mnist_vae.models.likelihoods import Bernoulli
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.priors import StandardNormal
from mnist_vae.models.vae import VAE
from mnist_vae.objectives import ELBO, Terms
from mnist_vae.training.module import VAEModule
from mnist_vae.utils.errors import TrainingDiverged
from mnist_vae.utils.seeding import Noise
from tests.data.test_datamodule import module


class Known:
    """An objective with known values: the loss of image i is its number, its reconstruction 2i, its kl 3i.

    Args:
        nan_at: (epoch, step) at which the loss is NaN, counted from 0.
    """

    def __init__(self, nan_at: tuple[int, int] | None = None) -> None:
        self.nan_at = nan_at
        self.epochs: list[float] = []

    def __call__(self, vae: VAE, x: Tensor, epoch: float, noise: Noise) -> Terms:
        self.epochs.append(epoch)
        number = (x[:, 0, 0, 0] * 255).round() + 0 * sum(p.sum() for p in vae.parameters())
        if self.nan_at is not None and epoch >= self.nan_at[0] + self.nan_at[1] / 5 - 1e-9:
            number = number * float("nan")
        return Terms(number, 2 * number, 3 * number)


class Rows(pl.Callback):
    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def fit(
    objective: Any,
    log_every: int = 2,
    max_epochs: int = 1,
    lr_factor: Any = None,
    callbacks: Any = (),
    precision: Any = "32-true",
    lr: float = 1e-3,
    **options: Any,
) -> tuple[pl.Trainer, VAEModule, Rows]:
    data, rows = module(**options), Rows()
    vae = small_for(data.image_shape)

    def make(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr)

    net = VAEModule(vae, objective, make, seed=0, log_every_n_steps=log_every, lr_factor=lr_factor)
    trainer = pl.Trainer(
        accelerator="cpu",
        precision=precision,
        max_epochs=max_epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        callbacks=[rows, *callbacks],
    )
    trainer.fit(net, data)
    return trainer, net, rows


def small_for(shape: tuple[int, ...]) -> VAE:
    return VAE(MLP(shape, 2, 1, [4]), Bernoulli(), StandardNormal(2))  # type: ignore[arg-type]


@pytest.mark.parametrize("log_every", [1, 2, 5, 50])
def test_epoch_means_are_means_over_images_however_steps_are_grouped(log_every: int) -> None:
    data = module()  # 32 training images in batches of 7, 7, 7, 7, 4
    _, _, rows = fit(Known(), log_every)
    for split, numbers in (("train", data.train_split[1]), ("val", data.val_split[1])):
        mean = numbers.double().mean().item()
        assert rows.epochs[-1][f"{split}/loss"] == pytest.approx(mean, rel=1e-6)
        assert rows.epochs[-1][f"{split}/reconstruction"] == pytest.approx(2 * mean, rel=1e-6)
        assert rows.epochs[-1][f"{split}/kl"] == pytest.approx(3 * mean, rel=1e-6)
        assert rows.epochs[-1][f"{split}/elbo"] == pytest.approx(-5 * mean, rel=1e-6)


def test_test_metrics_are_means_over_the_test_images() -> None:
    trainer, net, _ = fit(Known())
    trainer.test(net, module(), verbose=False)
    assert float(trainer.callback_metrics["test/loss"]) == pytest.approx(4.5)
    assert 0 <= float(trainer.callback_metrics["test/active_units"]) <= 2


def test_the_objective_hears_how_far_training_has_come() -> None:
    objective = Known()
    fit(objective, max_epochs=2, val_size=8)
    training = [0, 0.2, 0.4, 0.6, 0.8]
    assert objective.epochs == pytest.approx([*training, 1, *(1 + e for e in training), 2])


@pytest.mark.parametrize(("epoch", "step"), [(0, 0), (0, 3), (1, 4)])
@pytest.mark.parametrize("log_every", [1, 2, 50])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(epoch: int, step: int, log_every: int) -> None:
    with pytest.raises(TrainingDiverged, match=f"epoch {epoch + 1}, step {step + 1} of 5"):
        fit(Known(nan_at=(epoch, step)), log_every, max_epochs=3)


def test_training_binarises_anew_and_evaluation_does_not() -> None:
    seen: dict[bool, list[Tensor]] = {True: [], False: []}

    class Watching(ELBO):
        def __call__(self, vae: VAE, x: Tensor, epoch: float, noise: Noise) -> Terms:
            seen[vae.training].append(x)
            return super().__call__(vae, x, epoch, noise)

    fit(Watching(), max_epochs=2, how=Binarize.dynamic, batch_size=32)
    assert all(set(x.unique().tolist()) == {0, 1} for xs in seen.values() for x in xs)
    first, second = (x.sum(dim=(1, 2, 3)).sort().values for x in seen[True])
    assert not torch.equal(first, second)
    assert torch.equal(*seen[False])


def test_two_runs_of_one_seed_are_equal() -> None:
    def weights() -> dict[str, Tensor]:
        torch.manual_seed(7)
        return fit(ELBO(), max_epochs=2)[1].vae.state_dict()

    one, two = weights(), weights()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_learning_rate_follows_its_schedule_step_by_step() -> None:
    rates: list[float] = []

    class Watch(pl.Callback):
        def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    fit(ELBO(), max_epochs=2, lr_factor=lambda epoch: 1 - epoch / 4, callbacks=[Watch()])
    assert rates == pytest.approx([1e-3 * (1 - step / 5 / 4) for step in range(10)])  # five steps an epoch


class Listening(pl.Callback):
    """Has one of the hooks for which Lightning itself must see to each step."""

    def on_after_backward(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_neither_stretches_nor_listeners_change_a_number(monkeypatch: pytest.MonkeyPatch, precision: Any) -> None:
    """In half precision torch may keep the weights in it for as long as training_step lasts: each step must see the
    weights of the last."""

    def weights(stretch: int, callbacks: list[pl.Callback]) -> dict[str, Tensor]:
        monkeypatch.setitem(STRETCH, "cpu", stretch)
        torch.manual_seed(0)
        trainer, net, rows = fit(ELBO(), max_epochs=2, callbacks=callbacks, precision=precision, log_every=3)
        assert trainer.global_step == 10 and net._unwatched is not bool(callbacks)
        losses = {
            "loss": torch.tensor([row["train/loss"] for row in rows.epochs]),
            "norm": torch.tensor(net._gradient_norms),
        }
        return {**net.state_dict(), **losses}

    one = weights(1, [])
    for other in (weights(3, []), weights(50, []), weights(1, [Listening()]), weights(50, [Listening()])):
        assert all(torch.equal(one[name], other[name]) for name in one)
    torch.manual_seed(0)
    start = fit(ELBO(), max_epochs=1, lr=0.0)[1].state_dict()
    assert not any(torch.equal(one[name], start[name]) for name in start)
