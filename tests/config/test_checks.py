from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mnist_vae.config import checks
from mnist_vae.data.binarize import Binarize
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


@pytest.mark.parametrize(
    ("words", "lr", "val_size", "own"), [((), 3e-3, 5000, False), (("experiment=notebook",), 1e-3, 0, True)]
)
def test_the_defaults_are_the_notebooks_but_for_initial_weights_and_schedule(
    words: tuple[str, ...], lr: float, val_size: int, own: bool
) -> None:
    cfg = composed(*words)
    assert (cfg.latent_dim, cfg.beta, cfg.max_epochs, cfg.batch_size, cfg.lr) == (20, 1.0, 10, 128, lr)
    assert list(cfg.model.hidden_dims) == [400] and cfg.data.val_size == val_size
    assert cfg.data.binarize is Binarize.none
    assert (cfg.init == {}, cfg.schedule == {}) == (own, own)


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
        "init_from=",
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


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("latent_dim=1000000000", "latent_dim=1000000000: it must be 1 or more, and at most 1,000,000."),
        ("beta=1e308", "beta=1e+308: it must be 0 or more, and at most 1e+30."),
        ("max_epochs=1000000000000000000000", "it must be 1 or more, and at most 1,000,000,000."),
        ("accelerator.devices=129", "accelerator.devices=129: a batch is split over the devices; it must be at most"),
        (
            "callbacks=[]",
            "callbacks: it has no value; choose one of default, early_stopping, ema, none, rare,",
        ),
    ],
)
def test_values_that_are_too_large_and_groups_without_a_choice_are_refused(override: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        checks.check(composed(override))
    assert message in str(caught.value)


def check_composed(*overrides: str) -> None:
    checks.check_composed(*composed_with_hydra(*overrides))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("latent_dim=${latent_dim}", "latent_dim=${latent_dim}: the reference can't be resolved (Recursive interp"),
        (
            "model.hidden_dims=[4,${nope}]",
            "model.hidden_dims[1]=${nope}: the reference can't be resolved (Interpolation key",
        ),
        ("callbacks.epoch_images.every_n_epochs=${oc.env:NOPE}", "(Environment variable 'NOPE' not found); ${key} is"),
        ("+model.x=${model}", "model.x=${model}: the reference can't be resolved (Interpolation to parent node"),
        ("model=[mlp,conv]", "model=[mlp,conv]: it takes one choice, and several would be mixed into one."),
        ("data=[digits,mnist]", "data=[digits,mnist]: it takes one choice"),
        ("model={}", "model={}: a mapping is merged into what is there, and this one is empty; choose one of conv,"),
        ("model.hidden_dims=[]", ""),
        ("logger=[tensorboard,csv]", ""),
        ("model={hidden_dims:[3]}", ""),
        ("latent_dim=${batch_size}", ""),
        ("experiment=[notebook,quickstart]", ""),
    ],
)
def test_references_and_choices_of_a_composed_config(override: str, message: str) -> None:
    if not message:
        return check_composed(override)
    with pytest.raises(SettingsError) as caught:
        check_composed(override)
    assert message in str(caught.value)


@pytest.mark.parametrize("file", sorted((ROOT / "configs").glob("*/*.yaml")), ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_every_choice_says_what_it_is(file: Path) -> None:
    lines = file.read_text().splitlines()
    comment = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert comment.startswith("# ") and len(comment) > 12


@pytest.mark.parametrize(
    ("key", "value", "effective"),
    [
        ("beta", 4.0, "objective.beta"),
        ("lr", 0.5, "optimizer.lr"),
        ("max_epochs", 3, "trainer.max_epochs"),
        ("data.root", "/elsewhere", "data.source.root"),
        ("monitor", "val/loss", "callbacks.early_stopping.monitor"),
    ],
)
def test_an_override_without_effect_in_a_resolved_config_is_refused(key: str, value: object, effective: str) -> None:
    composed_config = composed("callbacks=early_stopping", "data.root=/here")
    cfg = OmegaConf.create(OmegaConf.to_yaml(composed_config, resolve=True))  # as a finished run has it
    OmegaConf.update(cfg, key, value)
    with pytest.raises(SettingsError, match=rf"^{key}={value}: it has no effect, .*set {effective} as well\.$"):
        checks.check_overrides(cfg, ["seed=1", f"{key}={value}"])
    checks.check_overrides(cfg, ["seed=1"])  # not typed
    OmegaConf.update(cfg, effective, value)
    checks.check_overrides(cfg, [f"{key}={value}", f"{effective}={value}"])


@pytest.mark.parametrize(
    "overrides",
    [
        ("beta=4", "lr=0.5", "max_epochs=3", "data.root=/elsewhere", "monitor=val/loss", "callbacks=early_stopping"),
        ("beta=4", "objective.beta=2"),
        ("data=digits", "data.root=/elsewhere"),
        ("monitor=train/loss",),
    ],
)
def test_no_override_of_a_composed_config_is_refused(overrides: tuple[str, ...]) -> None:
    checks.check_overrides(composed(*overrides), overrides)
