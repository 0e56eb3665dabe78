from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mnist_vae.config import checks, hparams
from mnist_vae.data.binarize import Binarize
from mnist_vae.data.datamodule import check_batch_size
from mnist_vae.utils.errors import SettingsError
from tests.conftest import ROOT, composed, composed_with_hydra

CHOICES = [
    f"{file.parent.name}={file.stem}"
    for file in sorted((ROOT / "configs").glob("*/*.yaml"))
    if file.parent.name != "hydra"
]


def test_every_group_of_the_project_is_there() -> None:
    groups = {choice.partition("=")[0] for choice in CHOICES}
    assert groups >= {"model", "data", "objective", "likelihood", "prior", "optimizer", "accelerator"}
    assert groups >= {"callbacks", "logger", "experiment"}


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes_and_passes_the_checks(choice: str) -> None:
    cfg = composed(choice)
    checks.check(cfg)
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


def test_the_defaults_are_the_notebooks() -> None:
    cfg = composed()
    assert (cfg.latent_dim, cfg.beta, cfg.max_epochs, cfg.batch_size, cfg.lr) == (20, 1.0, 10, 128, 1e-3)
    assert list(cfg.model.hidden_dims) == [400] and cfg.data.val_size == 5000
    assert cfg.data.binarize is Binarize.none
    assert composed("experiment=notebook").data.val_size == 0


@pytest.mark.parametrize(
    "override",
    [
        "latent_dim=0",
        "latent_dim=-3",
        "beta=-0.1",
        "beta=inf",
        "beta=nan",
        "seed=-1",
        "max_epochs=0",
        "batch_size=0",
        "lr=0",
        "lr=-1e-3",
        "lr=nan",
        "data.val_size=-1",
        "monitor=test/elbo",
        "monitor_mode=up",
        "accelerator.devices=0",
        "accelerator.precision=8-bit",
    ],
)
def test_values_out_of_range_are_refused_by_name(override: str) -> None:
    with pytest.raises(SettingsError) as caught:
        checks.check(composed(override))
    key = override.partition("=")[0]
    assert str(caught.value).startswith(f"{key}=")
    assert "must be" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+latent_dmi=3", "latent_dmi: there is no such key; did you mean latent_dim?"),
        ("+data.binarise=none", "did you mean data.binarize?"),
        ("+accelerator.nodes=2", "accelerator.nodes: there is no such key"),
        ("~beta", "beta: it has no value"),
    ],
)
def test_added_and_deleted_keys_are_refused(override: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        checks.check(composed(override))
    assert message in str(caught.value)


def test_batch_size_against_the_split() -> None:
    check_batch_size(10, 10, "digits")
    with pytest.raises(SettingsError, match="batch_size=11: the training split of digits has 10 images"):
        check_batch_size(11, 10, "digits")


@pytest.mark.parametrize("file", sorted((ROOT / "configs").glob("*/*.yaml")), ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_every_choice_says_what_it_is(file: Path) -> None:
    lines = file.read_text().splitlines()
    comment = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert comment.startswith("# ") and len(comment) > 12


def test_the_headline_tells_runs_apart() -> None:
    typed = ["model=conv", "model.channels=[4,8]", "lr=0.01", "objective.warmup_epochs=2", "data.binarize=dynamic"]
    typed += ["experiment=quickstart", "logger=csv", "data.root=/x"]
    cfg, hydra = composed_with_hydra(*typed)
    assert hparams.headline(cfg, hparams.choices_made(hydra), typed) == {
        "model": "conv",
        "data": "digits",
        "latent_dim": 10,
        "beta": 1.0,
        "seed": 0,
        "lr": 0.01,
        "objective.warmup_epochs": 2,
        "data.binarize": "dynamic",
        "model.channels": "[4, 8]",
        "experiment": "quickstart",
        "logger": "csv",
    }
    without_hydra = hparams.headline(composed("objective.beta=4"), {})
    assert without_hydra["beta"] == 4 and without_hydra["model"] == "MLP"
