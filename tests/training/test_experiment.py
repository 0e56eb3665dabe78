"""The objects of a config, and what is refused before anything is written."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import EarlyStopping

from mnist_vae.training.callbacks.epoch_images import EpochImages
from mnist_vae.training.experiment import Experiment, metrics_of_epochs
from mnist_vae.training.module import VAEModule
from mnist_vae.training.train import train
from mnist_vae.utils.errors import SettingsError
from tests.conftest import TINY, composed

Tiny = Callable[..., DictConfig]


def test_it_has_the_configs_data_module_and_callbacks(tiny: Tiny) -> None:
    cfg = tiny("callbacks=early_stopping", "callbacks.early_stopping.patience=3", "conditional=true")
    experiment = Experiment(cfg, {"model": "mlp"}, ["latent_dim=3"])
    assert len(experiment.data.train_split[0]) == 1300
    assert experiment.module.vae.classes == 10 and experiment.module.vae.latent_dim == 3
    assert experiment.module.hparams["config"] == OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    images, stopping = experiment.callbacks
    assert isinstance(images, EpochImages) and isinstance(stopping, EarlyStopping)
    assert (stopping.monitor, stopping.mode, stopping.patience) == ("val/elbo", "max", 3)


def test_the_initial_weights_are_a_function_of_the_seed_alone(tiny: Tiny) -> None:
    def weights(seed: int, state: int) -> torch.Tensor:
        torch.manual_seed(state)
        return Experiment(tiny(f"seed={seed}"), {}).module.vae.to_posterior.weight

    first = weights(0, 0)
    assert torch.equal(first, weights(0, 1)) and not torch.equal(first, weights(1, 0))


@pytest.mark.parametrize(("overrides", "mode"), [((), None), (("trainer.compile=true",), "default")])
def test_the_step_is_compiled_where_the_config_says_so(
    overrides: tuple[str, ...], mode: str | None, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[Any] = []
    monkeypatch.setattr(VAEModule, "compile_inference", lambda self, mode: modes.append(mode))
    Experiment(tiny(*overrides), {})
    assert modes == ([] if mode is None else [mode])


STOPPING = ("callbacks=early_stopping",)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["callbacks=early_stopping", "objective=capacity"],
            r"^callbacks\.early_stopping\.monitor: it is null, .* callbacks\.early_stopping\.monitor=val/elbo\.$",
        ),
        (["callbacks=early_stopping", "data.val_size=0"], r"EarlyStopping monitors val/elbo, and data\.val_size=0"),
        (["callbacks.epoch_images.every_n_epochs=0"], r"^callbacks\.epoch_images: every_n_epochs is 0"),
        (["+trainer.devices=2"], r"^trainer\.devices: it is set by accelerator\.devices\.$"),
        (["optimizer.betas=[0.9]"], r"^optimizer\.betas=\[0\.9\]: it must be a list of 2 values\.$"),
        (["+logger.mine=5"], r"^logger\.mine: it must be a mapping with a _target_"),
        (["+logger.mine._target_=os.getcwd"], r"^logger\.mine\._target_=os\.getcwd: it makes no Logger"),
        (["+callbacks.mine._target_=os.getcwd"], r"^callbacks\.mine\._target_=os\.getcwd: it makes no Callback"),
        ([*STOPPING, "callbacks.early_stopping.patience=-1"], r"^callbacks\.early_stopping\.patience=-1: it must be 0"),
        (
            [*STOPPING, "callbacks.early_stopping.monitor=nope"],
            r"^callbacks\.early_stopping\.monitor=nope: .* there are",
        ),
        (["monitor=val/elboo"], r"^monitor=val/elboo: there is no such metric; did you mean val/elbo\?$"),
        (["monitor=train/loss_step"], r"^monitor=train/loss_step: there is no such metric; did you mean train/loss\?$"),
        (["trainer.max_epochs=-1", "trainer.max_time=00:00:00:05"], r"^schedule: it depends on the number of epochs"),
        (["schedule=cosine", "schedule.final=2"], r"^schedule: final is 2\.0"),
        (["objective=iwae", "beta=4"], r"^beta=4\.0: objective=iwae has no beta"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_reported_when_it_is_built(overrides: list[str], message: str, tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match=message):
        Experiment(tiny(*overrides), {"objective": overrides[0].partition("=")[2]})


def test_early_stopping_of_an_objective_without_a_monitor_needs_one_of_its_own(tiny: Tiny) -> None:
    named = ("callbacks=early_stopping", "objective=capacity", "callbacks.early_stopping.monitor=val/elbo")
    assert any(isinstance(callback, EarlyStopping) for callback in Experiment(tiny(*named), {}).callbacks)


@pytest.mark.parametrize("objective", ["elbo", "capacity", "iwae"])
def test_the_metrics_that_can_be_monitored_are_those_that_a_run_has(objective: str, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny(f"objective={objective}", "callbacks=none", "logger=none", "max_epochs=1")
    train(cfg, tmp_path)
    with (tmp_path / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert set(metrics_of_epochs(Experiment(cfg, {}).module)) == row.keys() - {"epoch", "step", "seconds"}


class LogsMore(pl.Callback):
    """Stands for a user's own callback that logs a metric."""


@pytest.mark.parametrize(
    "words",
    [
        ["monitor=val/fid"],
        [*STOPPING, "callbacks.early_stopping.monitor=val/fid"],
    ],
)
def test_with_a_callback_that_may_log_more_any_metric_can_be_monitored(words: list[str], tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match="there is no such metric"):
        Experiment(tiny(*words), {})
    Experiment(tiny(*words, f"+callbacks.mine._target_={__name__}.LogsMore"), {})


def test_a_callback_can_monitor_what_is_logged_within_epochs(tiny: Tiny) -> None:
    Experiment(tiny(*STOPPING, "callbacks.early_stopping.monitor=train/loss_step"), {})


class Patient(pl.Callback):
    patience = None
    monitor = "of its own"


@pytest.mark.parametrize(
    "node",
    [
        f"{{_target_:{__name__}.Patient}}",
        "{_target_:pytorch_lightning.callbacks.ModelCheckpoint,monitor:step,mode:max}",
    ],
)
def test_other_callbacks_have_attributes_of_their_own(node: str) -> None:
    assert len(Experiment(composed("data=digits", f"+callbacks.mine={node}"), {}).callbacks) == 2


def test_the_decoder_begins_as_the_training_images_mean_pixel() -> None:
    experiment = Experiment(composed(*TINY), {})
    images, _ = experiment.data.train_split
    mean = images.double().mean() / 255
    bias = experiment.module.vae.decoder[-2].bias
    assert torch.allclose(bias.double(), torch.log(mean / (1 - mean)).expand_as(bias), atol=1e-5)
