"""The objects of a config, and what is refused before anything is written."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import EarlyStopping

from mnist_vae.training.callbacks.epoch_images import EpochImages
from mnist_vae.training.experiment import Experiment
from mnist_vae.training.module import VAEModule
from mnist_vae.utils.errors import SettingsError

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
        (["optimizer.betas=[0.9]"], r"^optimizer: "),
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
