"""The schema, and what is registered with Hydra."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mnist_vae.config import schema
from mnist_vae.config.schema import CONFIGS, Config, Device
from mnist_vae.data.binarize import Binarize
from mnist_vae.utils.errors import SettingsError
from tests.conftest import ROOT, composed


def test_hydras_settings_hold_for_any_primary_config(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("beta: 2\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        cfg = compose("mine", return_hydra_config=True)
    assert cfg.beta == 2 and cfg.hydra.output_subdir is None
    assert cfg.hydra.run.dir.startswith("outputs/runs/") and cfg.hydra.sweep.dir.startswith("outputs/sweeps/")
    assert cfg.hydra.job_logging.handlers.console.formatter == "plain"


def test_a_plain_config_gets_the_types_of_the_schema() -> None:
    cfg = composed("data.binarize=dynamic", "accelerator=cpu", "lr=1e-3")
    plain = OmegaConf.create(OmegaConf.to_yaml(cfg, resolve=True))  # as it is stored
    assert plain.data.binarize == "dynamic"
    typed = schema.typed(plain)
    assert OmegaConf.get_type(typed) is Config and OmegaConf.to_yaml(typed) == OmegaConf.to_yaml(plain)
    assert typed.data.binarize is Binarize.dynamic and typed.accelerator.accelerator is Device.cpu
    assert schema.typed(cfg) is cfg


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("data.binarize", "maybe", "expected one of"), ("latent_dim", "x", "Integer"), ("depth", 3, "depth")],
)
def test_a_plain_config_that_does_not_fit_is_refused(key: str, value: object, message: str) -> None:
    plain = OmegaConf.create(OmegaConf.to_yaml(composed(), resolve=True))
    OmegaConf.update(plain, key, value, force_add=True)
    with pytest.raises(SettingsError, match=rf"does not fit this project's schema: .*{message}"):
        schema.typed(plain)


def test_cores_is_a_resolver() -> None:
    assert OmegaConf.create({"at_once": "${cores:}"}).at_once == schema.cores() >= 1


def test_the_configs_folder_is_the_projects() -> None:
    assert CONFIGS == ROOT / "configs" and CONFIGS.is_dir()


def test_the_groups_and_their_choices_are_named() -> None:
    assert {"model", "data", "callbacks", "sweep"} <= set(schema.groups())
    assert schema.choices_of("optimizer") == ["adam", "adamw"] and schema.choices_of("latent_dim") == []
