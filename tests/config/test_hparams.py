import pytest
from omegaconf import OmegaConf

from mnist_vae.config import hparams
from tests.conftest import composed, composed_with_hydra


def test_choices_are_those_of_hydra_without_its_own_groups_and_null() -> None:
    _, hydra = composed_with_hydra("model=conv", "hydra/launcher=joblib")
    choices = hparams.choices_made(hydra)
    assert (choices["model"], choices["prior"]) == ("conv", "standard_normal")
    assert "experiment" not in choices and "debug" not in choices  # null
    assert not [group for group in choices if "hydra" in group]
    assert hparams.choices_made(None) == {}


def test_a_list_of_choices_is_written_as_on_the_command_line() -> None:
    hydra = {"runtime": {"choices": {"logger": ["tensorboard", "csv"], "model": "mlp"}}}
    expected = {"logger": "[tensorboard,csv]", "model": "mlp"}
    assert hparams.choices_made(hydra) == hparams.choices_made(OmegaConf.create(hydra)) == expected


def test_a_choice_without_a_name_is_called_by_its_class() -> None:
    cfg = composed("model=conv")
    assert hparams.choice(cfg, {"model": "mine"}, "model") == "mine"
    assert hparams.choice(cfg, {}, "model") == "Conv"


def test_beta_is_the_objectives_own_where_it_has_one() -> None:
    assert hparams.beta_of(composed("beta=2")) == 2
    assert hparams.beta_of(composed("beta=2", "objective.beta=4")) == 4
    assert hparams.beta_of(composed("objective=iwae")) == 1


@pytest.mark.parametrize(
    ("overrides", "epochs"),
    [
        (("max_epochs=3",), 3),
        (("max_epochs=3", "trainer.max_epochs=2"), 2),
        (("max_epochs=3", "trainer.max_epochs=-1"), 3),
        (("max_epochs=3", "trainer.max_epochs=null"), 3),
    ],
)
def test_the_epochs_planned(overrides: tuple[str, ...], epochs: int) -> None:
    assert hparams.epochs_planned(composed(*overrides)) == epochs


def test_the_headline_has_what_distinguishes_runs() -> None:
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


def test_the_title_of_a_runs_figures() -> None:
    cfg = composed("data=digits", "latent_dim=3", "beta=0.5", "conditional=true")
    assert hparams.title(cfg, {"model": "mlp"}) == "conditional mlp, 3 latent dimensions, beta 0.5, on digits"
    choices = {"model": "mlp", "prior": "vamp", "objective": "iwae", "likelihood": "bernoulli"}
    title = hparams.title(composed("data=digits", "conditional=false"), choices)
    assert title == "mlp, 20 latent dimensions, beta 1, iwae objective, vamp prior, on digits"
