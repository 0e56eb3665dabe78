"""VAEModule and ImageDataModule in a plain pl.Trainer: whatever works with any LightningModule works with them."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning import callbacks as pl_callbacks
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.tuner import Tuner
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from mnist_vae.analysis.evaluation import image_terms
from mnist_vae.data.binarize import Binarize
from mnist_vae.models.likelihoods import Bernoulli
from mnist_vae.models.vae import VAE
from mnist_vae.objectives import ELBO, FactorVAE, Terms
from mnist_vae.training.module import VAEModule
from mnist_vae.utils.errors import SettingsError, TrainingDiverged
from mnist_vae.utils.seeding import Noise
from tests.conftest import TINY, composed
from tests.data.test_datamodule import module as numbered_data

STEPS = 5  # of an epoch: 32 training images in batches of 7, 7, 7, 7, 4


class Known:
    """An objective with known values: the loss of image i is its number, its reconstruction 2i, its kl 3i.

    Args:
        nan_at: (epoch, step) at which the loss is NaN, counted from 0.
    """

    def __init__(self, nan_at: tuple[int, int] | None = None) -> None:
        self.nan_at = nan_at
        self.epochs: list[float] = []

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        self.epochs.append(epoch)
        number = (x[:, 0, 0, 0] * 255).round() + 0 * sum(p.sum() for p in vae.parameters())
        if self.nan_at is not None and epoch >= self.nan_at[0] + self.nan_at[1] / STEPS - 1e-9:
            number = number * float("nan")
        return Terms(number, 2 * number, 3 * number)


class BatchCounter(pl.Callback):
    """Counts the calls of batch hooks, as a third-party callback would."""

    def __init__(self) -> None:
        self.batches = self.steps = 0
        self.shapes: list[tuple[int, ...]] = []
        self.outputs: list[Any] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        images, labels = batch
        self.batches += 1
        self.shapes.append(tuple(images.shape))
        self.outputs.append(outputs)
        assert len(images) == len(labels)

    def on_before_optimizer_step(self, *_: Any) -> None:
        self.steps += 1


class EpochMetrics(pl.Callback):
    """The callback metrics at the end of training."""

    metrics: dict[str, float]

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}


def vae_module(*overrides: str, objective: Any = None, seed: int = 0) -> VAEModule:
    """A small module for images of 3 by 3 pixels."""
    torch.manual_seed(seed)
    cfg = composed(*TINY, "model.hidden_dims=[4]", *overrides)
    plain: Any = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    net = VAEModule(plain, (1, 3, 3), 10, 32)
    if objective is not None:
        net.objective = objective
    return net


def trainer_with(*callbacks: pl.Callback, **arguments: Any) -> pl.Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "accelerator": "cpu", "max_epochs": 1}
    return pl.Trainer(**{**quiet, **arguments}, callbacks=list(callbacks))  # type: ignore[arg-type]


def fit(*callbacks: pl.Callback, net: VAEModule | None = None, **arguments: Any) -> tuple[pl.Trainer, VAEModule]:
    net = net or vae_module()
    trainer = trainer_with(*callbacks, **arguments)
    trainer.fit(net, numbered_data())
    return trainer, net


class CountingBernoulli(Bernoulli):
    """Counts the calls that are not compiled."""

    eager_calls = 0

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            self.eager_calls += 1
        return super().log_prob(parameters, x)


# Values


@pytest.mark.parametrize("log_every", [1, 2, 5, 50])
def test_epoch_means_are_means_over_images_however_often_is_logged(log_every: int) -> None:
    data, end = numbered_data(), EpochMetrics()
    fit(end, net=vae_module(objective=Known()), log_every_n_steps=log_every)
    for split, numbers in (("train", data.train_split[1]), ("val", data.val_split[1])):
        mean = numbers.double().mean().item()
        assert end.metrics[f"{split}/loss"] == pytest.approx(mean, rel=1e-6)
        assert end.metrics[f"{split}/reconstruction"] == pytest.approx(2 * mean, rel=1e-6)
        assert end.metrics[f"{split}/kl"] == pytest.approx(3 * mean, rel=1e-6)
        assert end.metrics[f"{split}/elbo"] == pytest.approx(-5 * mean, rel=1e-6)


def test_the_objective_receives_the_epochs_trained() -> None:
    objective = Known()
    fit(net=vae_module(objective=objective), max_epochs=2, num_sanity_val_steps=0)
    training = [0, 0.2, 0.4, 0.6, 0.8]
    assert objective.epochs == pytest.approx([*training, 1, *(1 + e for e in training), 2])


@pytest.mark.parametrize(("epoch", "step"), [(0, 0), (0, 3), (1, 4)])
@pytest.mark.parametrize("log_every", [1, 2, 50])
def test_a_loss_that_is_not_finite_stops_training_and_names_the_step(epoch: int, step: int, log_every: int) -> None:
    net = vae_module(objective=Known(nan_at=(epoch, step)))
    with pytest.raises(TrainingDiverged, match=f"epoch {epoch + 1}, step {step + 1} of 5"):
        fit(net=net, log_every_n_steps=log_every, max_epochs=3, num_sanity_val_steps=0)


def test_training_binarises_anew_and_evaluation_does_not() -> None:
    seen: dict[bool, list[Tensor]] = {True: [], False: []}

    class Watching(ELBO):
        def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
            seen[vae.training].append(x)
            return super().__call__(vae, x, labels, epoch, noise)

    data = numbered_data(how=Binarize.dynamic, batch_size=32)
    trainer_with(max_epochs=2, num_sanity_val_steps=0).fit(vae_module(objective=Watching()), data)
    assert all(set(x.unique().tolist()) == {0, 1} for xs in seen.values() for x in xs)
    first, second = (x.sum(dim=(1, 2, 3)).sort().values for x in seen[True])
    assert not torch.equal(first, second)
    assert torch.equal(*seen[False])


def test_two_runs_of_one_seed_are_equal() -> None:
    one, two = (fit(max_epochs=2)[1].state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_learning_rate_follows_its_schedule_step_by_step() -> None:
    rates: list[float] = []

    class Watch(pl.Callback):
        def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    fit(Watch(), net=vae_module("lr=1e-3", "schedule.warmup=0", "max_epochs=2"), max_epochs=2)
    expected = [1e-3 * (1 + math.cos(math.pi * (step + 0.5) / 10)) / 2 for step in range(10)]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    ("limits", "last"), [({"max_epochs": -1, "max_steps": 8}, 8), ({"max_epochs": 9, "max_steps": 7}, 7)]
)
def test_the_schedule_ends_where_the_steps_do(limits: dict[str, int], last: int) -> None:
    rates: list[float] = []

    class Watch(pl.Callback):
        def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    fit(Watch(), net=vae_module("lr=1e-3", "schedule.warmup=0"), **limits)
    expected = [1e-3 * (1 + math.cos(math.pi * (step + 0.5) / last)) / 2 for step in range(last)]
    assert rates == pytest.approx(expected)


class Endless(IterableDataset):
    """Images without a known number of them."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for number in range(12):
            yield torch.full((1, 3, 3), number / 12), torch.tensor(0)


def test_a_loader_without_a_length_needs_a_schedule_without_an_end() -> None:
    loader = DataLoader(Endless(), batch_size=4)
    net = vae_module("schedule=constant")
    before = net.vae.decoder[0].weight.clone()
    trainer_with(max_epochs=2, limit_val_batches=0).fit(net, loader)
    assert not torch.equal(net.vae.decoder[0].weight, before)
    with pytest.raises(SettingsError, match=r"^schedule: .* or a loader without a length leaves open"):
        trainer_with(max_epochs=2, limit_val_batches=0).fit(vae_module(), loader)


def test_a_checkpoint_of_an_earlier_version_is_loaded(tmp_path: Path) -> None:
    trainer, net = fit(default_root_dir=tmp_path)
    trainer.save_checkpoint(tmp_path / "now.ckpt")
    content = torch.load(tmp_path / "now.ckpt", weights_only=False)
    content["hyper_parameters"] = {k: v for k, v in content["hyper_parameters"].items() if k != "mean_pixel"}
    content["hyper_parameters"]["config"] = {k: v for k, v in net.hparams["config"].items() if k != "init"}
    torch.save(content, tmp_path / "earlier.ckpt")
    loaded = VAEModule.load_from_checkpoint(tmp_path / "earlier.ckpt", weights_only=False)
    assert all(torch.equal(value, net.vae.state_dict()[name]) for name, value in loaded.vae.state_dict().items())


def test_the_gradient_norm_is_that_of_all_gradients_together(tmp_path: Path) -> None:
    norms: list[float] = []

    class Watch(pl.Callback):
        def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            gradients = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
            norms.append(torch.cat(gradients).norm().item())

    end = EpochMetrics()
    fit(Watch(), end, log_every_n_steps=1)
    assert len(norms) == STEPS and end.metrics["train/gradient_norm"] == pytest.approx(sum(norms) / STEPS, rel=1e-6)


def test_active_units_are_counted_over_all_images() -> None:
    trainer, net = fit(max_epochs=1)
    data = numbered_data()
    with torch.no_grad():
        net.vae.to_posterior.weight[0] *= 1000  # the first dimension's mean varies for certain
        net.vae.to_posterior.weight[1].zero_()  # the second one's is constant
        means = net.vae.encode(data.test_split[0] / 255).mean.double()
    (values,) = trainer.test(net, data, verbose=False)
    assert values["test/active_units"] == int((means.var(dim=0, correction=0) > 0.01).sum()) >= 1


def test_values_at_the_end_of_a_cycle_are_not_of_the_next() -> None:
    objective, end = ELBO(beta=4.0, warmup_epochs=1, cycle_epochs=2), EpochMetrics()
    fit(end, net=vae_module(objective=objective), max_epochs=2)
    assert end.metrics["train/beta"] == pytest.approx(4.0) and objective.beta_at(2.0) == 0.0


# Lightning's features


def test_a_batch_is_one_batch_of_images_and_labels() -> None:
    counter = BatchCounter()
    trainer, _ = fit(counter, max_epochs=2)
    assert counter.batches == counter.steps == trainer.global_step == 2 * STEPS
    assert counter.shapes[:STEPS] == [(7, 1, 3, 3)] * 4 + [(4, 1, 3, 3)]
    assert all(output["loss"].isfinite() for output in counter.outputs)


@pytest.mark.parametrize(
    ("arguments", "batches", "steps"),
    [
        ({"limit_train_batches": 3}, 3, 3),
        ({"limit_train_batches": 0.4}, 2, 2),
        ({"max_steps": 3}, 3, 3),
        ({"max_steps": 7, "max_epochs": 5}, 7, 7),
        ({"fast_dev_run": True}, 1, 1),
        ({"overfit_batches": 2, "max_epochs": 3}, 6, 6),
        ({"accumulate_grad_batches": 2}, 5, 3),
        ({"val_check_interval": 2}, 5, 5),
        ({"check_val_every_n_epoch": 2, "max_epochs": 2}, 10, 10),
        ({"gradient_clip_val": 0.1}, 5, 5),
        ({"gradient_clip_val": 0.1, "gradient_clip_algorithm": "value"}, 5, 5),
        ({"detect_anomaly": True}, 5, 5),
        ({"precision": "bf16-mixed"}, 5, 5),
        ({"precision": "64-true"}, 5, 5),
        ({"deterministic": True}, 5, 5),
        ({"limit_val_batches": 0}, 5, 5),
        ({"num_sanity_val_steps": 2}, 5, 5),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:.*requested to overfit")
def test_arguments_of_the_trainer_do_what_they_say(arguments: dict[str, Any], batches: int, steps: int) -> None:
    counter = BatchCounter()
    trainer, net = fit(counter, **arguments)
    assert (counter.batches, trainer.global_step) == (batches, steps)
    (values,) = trainer.test(net, numbered_data(), verbose=False)
    assert values["test/elbo"] == pytest.approx(-(values["test/reconstruction"] + values["test/kl"]))


@pytest.mark.parametrize(("algorithm", "limit"), [("norm", 0.1), ("value", 0.01)])
def test_gradients_are_clipped(algorithm: str, limit: float) -> None:
    seen: list[Tensor] = []

    class Optimizer(torch.optim.SGD):
        def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
            result = closure()
            seen.append(torch.cat([p.grad.flatten() for group in self.param_groups for p in group["params"]]))
            return result

    net = vae_module()
    net.configure_optimizers = lambda: Optimizer(net.parameters(), 1e-3)  # type: ignore[method-assign]
    fit(net=net, gradient_clip_val=limit, gradient_clip_algorithm=algorithm)
    largest = max((g.norm() if algorithm == "norm" else g.abs().max()).item() for g in seen)
    assert len(seen) == STEPS and largest == pytest.approx(limit, rel=1e-3)


def test_accumulated_gradients_are_those_of_the_batches() -> None:
    seen: list[Tensor] = []

    class Watch(pl.Callback):
        def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            seen.append(torch.cat([p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]).clone())

    def known(vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        sums = torch.stack([p.sum() for p in vae.parameters()]).sum().expand(len(x))
        return Terms(sums, sums, sums)

    fit(Watch(), net=vae_module(objective=known), accumulate_grad_batches=2, limit_train_batches=4)
    assert len(seen) == 2 and all(torch.equal(g, torch.ones_like(g)) for g in seen)


@pytest.mark.parametrize(
    "callback",
    [
        lambda: pl_callbacks.Timer(duration="00:00:10:00"),
        pl_callbacks.ModelSummary,
        lambda: pl_callbacks.GradientAccumulationScheduler({0: 2}),
        pl_callbacks.TQDMProgressBar,
        pl_callbacks.RichProgressBar,
        lambda: pl_callbacks.StochasticWeightAveraging(swa_lrs=1e-2, swa_epoch_start=1),
        lambda: pl_callbacks.EMAWeightAveraging(decay=0.9),
        lambda: pl_callbacks.EarlyStopping("val/elbo", mode="max"),
    ],
    ids=lambda make: getattr(make, "__name__", "lambda"),
)
def test_lightnings_callbacks_run(callback: Callable[[], pl.Callback], capsys: pytest.CaptureFixture[str]) -> None:
    one = callback()
    bar = isinstance(one, pl_callbacks.ProgressBar)
    trainer, _ = fit(one, max_epochs=2, enable_progress_bar=bar)
    assert trainer.global_step == (2 * 3 if isinstance(one, pl_callbacks.GradientAccumulationScheduler) else 2 * STEPS)


def test_stochastic_weight_averaging_changes_the_weights() -> None:
    plain = fit(max_epochs=3)[1].state_dict()
    averaging = pl_callbacks.StochasticWeightAveraging(swa_lrs=1e-2, swa_epoch_start=1)
    averaged = fit(averaging, max_epochs=3)[1].state_dict()
    assert not torch.equal(plain["vae.to_posterior.weight"], averaged["vae.to_posterior.weight"])


def test_monitors_log_every_step(tmp_path: Path) -> None:
    callbacks = (pl_callbacks.LearningRateMonitor("step"), pl_callbacks.DeviceStatsMonitor())
    trainer, _ = fit(*callbacks, logger=CSVLogger(tmp_path), log_every_n_steps=1, max_epochs=2)
    rows = logged(trainer)
    assert [row["step"] for row in rows if "lr-Adam" in row] == list(range(2 * STEPS))
    assert any("DeviceStatsMonitor" in name for row in rows for name in row)


def logged(trainer: pl.Trainer) -> list[dict[str, float]]:
    trainer.logger.save()  # type: ignore[union-attr]
    return trainer.logger.experiment.metrics or _read(Path(trainer.logger.log_dir))  # type: ignore[union-attr]


def _read(folder: Path) -> list[dict[str, float]]:
    import csv

    with (folder / "metrics.csv").open() as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def test_a_stock_logger_gets_steps_epochs_and_test_metrics(tmp_path: Path) -> None:
    trainer, net = fit(logger=CSVLogger(tmp_path), log_every_n_steps=2, max_epochs=2)
    trainer.test(net, numbered_data(), verbose=False)
    rows = logged(trainer)
    assert [row["step"] for row in rows if "train/loss_step" in row] == [1, 3, 5, 7, 9]
    for split in ("train", "val"):
        assert [row["step"] for row in rows if f"{split}/elbo" in row] == [4, 9]
    assert [row["step"] for row in rows if "test/elbo" in row] == [10]
    hparams = (Path(trainer.logger.log_dir) / "hparams.yaml").read_text()  # type: ignore[union-attr, arg-type]
    assert "latent_dim: 3" in hparams


@pytest.mark.filterwarnings("ignore:.*ended before the epoch ended")
@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint")
def test_checkpoints_are_saved_every_few_steps_and_resumed_from(tmp_path: Path) -> None:
    saving = pl_callbacks.ModelCheckpoint(tmp_path, every_n_train_steps=3, save_top_k=-1, filename="{step}")
    fit(saving, enable_checkpointing=True, max_epochs=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step=3.ckpt", "step=6.ckpt", "step=9.ckpt"]
    for step in (3, 6):
        counter = BatchCounter()
        again = trainer_with(counter, max_epochs=2)
        again.fit(vae_module(), numbered_data(), ckpt_path=str(tmp_path / f"step={step}.ckpt"))
        assert again.global_step == 2 * STEPS and counter.batches == 2 * STEPS - step


def test_the_best_checkpoint_is_chosen_by_a_logged_metric(tmp_path: Path) -> None:
    saving = pl_callbacks.ModelCheckpoint(tmp_path, monitor="val/elbo", mode="max")
    fit(saving, enable_checkpointing=True, max_epochs=2)
    assert saving.best_model_score is not None and saving.best_model_score < 0


def test_load_from_checkpoint_needs_the_path_alone(tmp_path: Path) -> None:
    trainer, net = fit()
    trainer.save_checkpoint(tmp_path / "some.ckpt")
    again = VAEModule.load_from_checkpoint(tmp_path / "some.ckpt")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in net.state_dict().items())
    assert again.hparams["image_shape"] == (1, 3, 3)


def test_predict_and_forward_reconstruct() -> None:
    trainer, net = fit()
    data = numbered_data()
    (predicted,) = trainer.predict(net, data)  # type: ignore[misc]
    with torch.no_grad():
        assert torch.equal(predicted, net(data.test_split[0] / 255))  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled")
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_external_loaders_work(labelled: bool, dtype: torch.dtype) -> None:
    images = torch.randint(0, 256, (20, 1, 3, 3), dtype=torch.uint8)
    pixels = images if dtype == torch.uint8 else images / 255
    dataset: Any = TensorDataset(pixels, torch.arange(20)) if labelled else pixels
    loader = DataLoader(dataset, batch_size=8, shuffle=True)
    net, end, trainer = vae_module(), EpochMetrics(), trainer_with(max_epochs=2)
    trainer.callbacks.append(end)  # type: ignore[attr-defined]
    trainer.fit(net, loader, loader)
    assert trainer.global_step == 6 and {"train/elbo", "val/elbo"} <= end.metrics.keys()
    (values,) = trainer.test(net, loader, verbose=False)
    assert values["test/elbo"] < 0
    assert sum(len(part) for part in trainer.predict(net, loader)) == 20  # type: ignore[misc, arg-type]


def test_the_tuner_finds_a_learning_rate(tmp_path: Path) -> None:
    net = vae_module()
    trainer = trainer_with(default_root_dir=tmp_path, max_epochs=10)
    found = Tuner(trainer).lr_find(net, datamodule=numbered_data(), num_training=20, update_attr=True)
    assert found is not None and len(found.results["lr"]) == 20
    optimizer = net.configure_optimizers()["optimizer"]
    assert optimizer.param_groups[0]["initial_lr"] == net.lr == found.suggestion()


def test_an_objective_with_parameters_is_trained_beside_the_vae_with_options_of_its_own(tmp_path: Path) -> None:
    net, end = vae_module("objective=factor", "objective.hidden_dim=4", "schedule=iwae", "lr=0.02"), EpochMetrics()
    assert isinstance(net.objective, FactorVAE)
    start = {name: parameter.clone() for name, parameter in net.named_parameters()}
    trainer, _ = fit(end, net=net, max_epochs=2, gradient_clip_val=0.5, log_every_n_steps=1)
    assert all(not torch.equal(parameter, start[name]) for name, parameter in net.named_parameters())
    of_vae, of_objective = trainer.optimizers[0].param_groups
    assert of_objective["betas"] == (0.5, 0.9) and of_vae["lr"] == end.metrics["train/lr"] < 0.02
    assert of_objective["lr"] / of_vae["lr"] == pytest.approx(1e-4 / 0.02)  # the schedule is a factor of both
    assert 0 < end.metrics["train/discriminator_loss"] < 1 and "train/total_correlation" in end.metrics
    assert end.metrics["val/elbo"] == pytest.approx(-end.metrics["val/reconstruction"] - end.metrics["val/kl"])
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = VAEModule.load_from_checkpoint(tmp_path / "a.ckpt").state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in net.state_dict().items())
    assert any(name.startswith("objective.") for name in loaded)


def test_hooks_of_a_subclass_are_called() -> None:
    class Subclass(VAEModule):
        calls = 0

        def on_after_backward(self) -> None:
            self.calls += 1

    net = vae_module()
    net.__class__ = Subclass
    fit(net=net)
    assert net.calls == STEPS  # type: ignore[attr-defined]


def test_the_profiler_sees_forward_and_backward() -> None:
    trainer, _ = fit(profiler="simple")
    actions = trainer.profiler.recorded_durations  # type: ignore[attr-defined]
    assert any(name.endswith(".backward") for name in actions)
    assert any(name.endswith(".training_step") for name in actions)


def test_bf16_trains_as_float32_nearly_does() -> None:
    end32, end16 = EpochMetrics(), EpochMetrics()
    fit(end32, max_epochs=2)
    fit(end16, max_epochs=2, precision="bf16-mixed")
    assert end16.metrics["val/elbo"] == pytest.approx(end32.metrics["val/elbo"], rel=0.02)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_test_elbo_is_that_of_the_weights_in_float32(precision: str) -> None:
    trainer, net = fit(precision=precision)
    data = numbered_data()
    (tested,) = trainer.test(net, data, verbose=False)
    reconstruction, kl = image_terms(net.vae, *data.test_split)
    assert tested["test/reconstruction"] == pytest.approx(reconstruction.mean().item(), rel=1e-6)
    assert tested["test/kl"] == pytest.approx(kl.mean().item(), rel=1e-6)


@pytest.mark.slow
def test_a_compiled_step_gives_the_same_losses() -> None:
    metrics = []
    for compiled in (False, True):
        net, end = vae_module("objective.warmup_epochs=2"), EpochMetrics()
        spy = net.vae.likelihood = CountingBernoulli()
        if compiled:
            net.compile_inference("default")
        fit(end, net=net, max_epochs=3, log_every_n_steps=1)
        assert (spy.eager_calls == 0) == compiled
        metrics.append(end.metrics)
    assert metrics[0].keys() == metrics[1].keys()
    for name in ("train/loss", "val/elbo", "val/kl"):
        assert metrics[1][name] == pytest.approx(metrics[0][name], rel=1e-4), name


@pytest.mark.slow
def test_a_plain_trainer_on_two_processes_sees_every_image_once() -> None:
    images = trainer_with(devices=2, strategy="ddp_fork")
    one, net = fit(max_epochs=1)
    (alone,) = one.test(net, numbered_data(), verbose=False)
    (together,) = images.test(net, numbered_data(), verbose=False)
    assert together["test/elbo"] == pytest.approx(alone["test/elbo"], rel=1e-6)
    assert together["test/active_units"] == alone["test/active_units"]


def test_a_loader_of_images_alone_and_several_validation_loaders_work() -> None:
    images = torch.rand(10, 1, 3, 3)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images), batch_size=5)
    end = EpochMetrics()
    trainer_with(end).fit(vae_module(), loader, [loader, loader])
    assert {"val/elbo/dataloader_idx_0", "val/elbo/dataloader_idx_1"} <= end.metrics.keys()
    assert vae_module()((images * 255).to(torch.uint8)).shape == images.shape


def test_a_loaded_module_evaluates_the_loss_at_its_own_epoch(tmp_path: Path) -> None:
    trainer, net = fit(net=vae_module("objective.warmup_epochs=4"), max_epochs=2)
    (expected,) = trainer.test(net, numbered_data(), verbose=False)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = VAEModule.load_from_checkpoint(tmp_path / "a.ckpt")
    (found,) = trainer_with().test(loaded, numbered_data(), verbose=False)
    assert found["test/loss"] == pytest.approx(expected["test/loss"]) and found["test/loss"] != -found["test/elbo"]
