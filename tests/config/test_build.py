"""The parts of an experiment are built from its config."""

import math

import pytest
import torch

from mnist_vae.config.build import (
    build_data,
    build_lr_factor,
    build_objective,
    build_optimizer,
    build_vae,
    initialize,
    parameter_groups,
)
from mnist_vae.models.posteriors import FullCovariance
from mnist_vae.models.priors import Mixture
from mnist_vae.objectives import BetaTCVAE, FactorVAE
from mnist_vae.utils.errors import SettingsError
from tests.conftest import TINY, composed

SHAPE = (1, 4, 4)


def test_the_vae_has_the_parts_that_the_config_names() -> None:
    cfg = composed(*TINY, "prior=mixture", "prior.components=5", "posterior=full_covariance")
    vae = build_vae(cfg, SHAPE)
    assert isinstance(vae.prior, Mixture) and isinstance(vae.to_posterior, FullCovariance)
    assert [module.out_features for module in vae.encoder if isinstance(module, torch.nn.Linear)] == [16]
    posterior = vae.encode(torch.zeros(2, *SHAPE))
    assert posterior.mean.shape == (2, 3) and vae.decode(posterior.mean).shape == (2, *SHAPE)
    torch.manual_seed(7)
    first = build_vae(cfg, SHAPE, trust=()).state_dict()
    torch.manual_seed(7)
    assert all(torch.equal(value, first[name]) for name, value in build_vae(cfg, SHAPE).state_dict().items())


def test_only_a_conditional_vae_has_labels() -> None:
    assert build_vae(composed(*TINY), SHAPE, classes=10).classes == 0
    conditional = composed(*TINY, "conditional=true")
    vae = build_vae(conditional, SHAPE, classes=10)
    assert vae.classes == 10 and vae.sample(2, labels=torch.tensor([0, 9])).shape == (2, *SHAPE)
    with pytest.raises(ValueError, match="a conditional VAE needs the number of its labels"):
        build_vae(conditional, SHAPE)


def test_a_config_of_somebody_else_can_name_only_known_classes() -> None:
    cfg = composed(*TINY, "data.val_size=5")
    assert len(build_data(cfg, trust=()).val_split[0]) == 5
    cfg.data.source = cfg.prior = {"_target_": "os.getcwd"}
    for build in (lambda: build_data(cfg, trust=()), lambda: build_vae(cfg, SHAPE, trust=())):
        with pytest.raises(SettingsError, match=r"_target_=os\.getcwd: .*here only"):
            build()


def test_an_objective_is_given_the_number_of_training_images() -> None:
    objective = build_objective(composed("objective=beta_tcvae", "beta=3"), train_size=123)
    assert isinstance(objective, BetaTCVAE) and (objective.train_size, objective.beta) == (123, 3.0)


def test_an_objectives_parameters_have_the_options_that_it_states() -> None:
    cfg = composed("objective=factor", "lr=0.5", "latent_dim=3", "objective.hidden_dim=4", "objective.lr=0.25")
    objective = build_objective(cfg, train_size=10)
    assert isinstance(objective, FactorVAE) and objective.discriminator[0].weight.shape == (4, 3)
    module = torch.nn.ModuleDict({"vae": torch.nn.Linear(2, 2), "objective": objective})
    of_vae, of_objective = build_optimizer(cfg, parameter_groups(module, objective), lr=0.125).param_groups
    assert (of_vae["lr"], of_vae["betas"]) == (0.125, (0.9, 0.999))
    assert (of_objective["lr"], of_objective["betas"]) == (0.25, (0.5, 0.9))
    for group, part in ((of_vae, module["vae"]), (of_objective, objective)):
        assert list(map(id, group["params"])) == list(map(id, part.parameters()))
    (alone,) = parameter_groups(module["vae"], build_objective(composed(), train_size=10))
    assert len(alone["params"]) == 2


def test_a_learning_rate_found_by_the_tuner_replaces_the_configs() -> None:
    weights = [torch.nn.Parameter(torch.zeros(2))]
    cfg = composed("optimizer=adamw", "lr=0.5")
    assert build_optimizer(cfg, weights).param_groups[0]["lr"] == 0.5
    assert build_optimizer(cfg, weights, lr=0.25).param_groups[0]["lr"] == 0.25 and cfg.optimizer.lr == 0.5
    del cfg.optimizer.lr
    assert build_optimizer(cfg, weights, lr=0.25).param_groups[0]["lr"] == 1e-3  # torch's default


def test_the_schedule_ends_with_the_planned_epochs() -> None:
    assert build_lr_factor(composed("schedule=constant"), math.inf)(3.5) == 1
    factor = build_lr_factor(composed("schedule.warmup=0"), 4.0)
    assert [factor(epoch) for epoch in (0.0, 2.0, 4.0)] == pytest.approx([1.0, 0.5, 0.0])


def test_a_schedule_without_an_end_is_refused() -> None:
    assert build_lr_factor(composed("schedule=iwae"), math.inf) is not None
    with pytest.raises(SettingsError, match=r"^schedule: it depends on .*schedule=constant, or set"):
        build_lr_factor(composed(), math.inf)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("init.output_gain=-1", r"^init: output_gain is -1(\.0)?; it must be 0 or more, and finite\.$"),
        ("init.output_gain=nan", r"^init: output_gain is nan;"),
    ],
)
def test_initial_weights_that_are_wrong_are_refused(word: str, message: str) -> None:
    cfg = composed(word)
    with pytest.raises(SettingsError, match=message):
        initialize(cfg, build_vae(cfg, (1, 28, 28)), None)


def test_a_schedule_that_is_wrong_is_refused_when_it_is_built() -> None:
    with pytest.raises(SettingsError, match=r"^schedule: final is 2\.0; it must be from 0 to 1\.$"):
        build_lr_factor(composed("schedule=cosine", "schedule.final=2"), 10.0)
