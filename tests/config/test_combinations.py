"""Choices of objective, prior, posterior, likelihood and condition with each other: they train or are refused."""

import functools
import itertools
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from mnist_vae.config.build import build_objective, build_vae, parameter_groups
from mnist_vae.config.combinations import check_combination, check_processes
from mnist_vae.data.binarize import Binarize, binarize
from mnist_vae.data.digits import DigitsSource
from mnist_vae.training.train import train
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.seeding import Noise
from tests.conftest import ROOT, composed, composed_with_hydra

BATCH, IMAGES = 64, 640
BINARY = ("autoregressive",)  # likelihoods of pixels in {0, 1} only
SMALL = {
    "model": {
        "mlp": {"hidden_dims": [24]},
        "iwae_mlp": {"hidden_dims": [24, 24]},
        "conv": {"channels": [4, 4], "hidden_dim": 16},
        "resnet": {"channels": [4, 8]},
        "ladder": {"hidden_dims": [24]},
    },
    "prior": {
        "mixture": {"components": 10},
        "vamp": {"components": 10},
        "flow": {"hidden_dim": 16},
        "hierarchical": {"hidden_dim": 16},
    },
    "posterior": {"iaf": {"hidden_dim": 8}, "coupling": {"hidden_dim": 8}},
    "likelihood": {"autoregressive": {"features": 4}},
    "objective": {
        "iwae": {"k": 3},
        "rae": {"gradient_penalty": 0.01},
        "mmd": {"kl_weight": 0.5},
        "factor": {"layers": 2, "hidden_dim": 16},
    },
}
REFUSED = {
    ("beta_tcvae", "iaf"),
    ("beta_tcvae", "coupling"),
    ("beta_tcvae", "ladder"),
    ("vamp", "iaf"),
}


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / "configs" / group).glob("*.yaml"))


def config(**chosen: Any) -> DictConfig:
    """The config of a small run with these choices."""
    overrides = [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in chosen.items()]
    cfg = composed("data=digits", "latent_dim=4", "lr=1e-2", "max_epochs=1", "data.val_size=0", *overrides)
    for group, small in SMALL.items():
        OmegaConf.update(cfg, group, small.get(chosen.get(group), {}))
    if chosen.get("likelihood") in BINARY:
        cfg.data.binarize = Binarize.threshold
    return cfg


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    arrays = DigitsSource().load()
    return to_unit(arrays.train_images)[:IMAGES], arrays.train_labels[:IMAGES]


def train_one_epoch(cfg: DictConfig) -> None:
    """A bare epoch: the objective on the first images must fall, every weight move, and samples be images."""
    images, labels = digits()
    images = binarize(images, cfg.data.binarize, Noise(len(images)))
    torch.manual_seed(0)
    vae = build_vae(cfg, (1, *images.shape[2:]), classes=10)
    objective = build_objective(cfg, train_size=len(images))
    check_combination(cfg, {}, vae, objective)
    both = torch.nn.ModuleList([vae, *([objective] if isinstance(objective, torch.nn.Module) else [])])
    optimizer = torch.optim.Adam(parameter_groups(both, objective), cfg.lr)
    start = {name: parameter.detach().clone() for name, parameter in both.named_parameters()}

    def loss() -> float:
        """On a quarter of the images, with the same noise each time."""
        with torch.no_grad():
            noise = Noise(360, generator=torch.Generator().manual_seed(0))
            return float(objective(vae, images[:360], labels[:360], 1.0, noise).loss.mean())

    first = loss()
    for step, (x, y) in enumerate(zip(images.split(BATCH), labels.split(BATCH), strict=True)):
        optimizer.zero_grad()
        terms = objective(vae, x, y, step * BATCH / IMAGES, Noise(len(x)))
        assert all(term.shape == (len(x),) for term in terms)
        terms.loss.mean().backward()
        optimizer.step()
    last = loss()
    assert last < first, (first, last)
    for name, parameter in both.named_parameters():
        assert parameter.isfinite().all() and not torch.equal(parameter, start[name]), name
    with torch.no_grad():
        samples = vae.sample(6, torch.Generator().manual_seed(0), labels=torch.arange(6))
    assert samples.shape == (6, *vae.image_shape) and samples.isfinite().all()
    assert samples.min() >= 0 and samples.max() <= 1


def fits(objective: str, prior: str, posterior: str, likelihood: str, conditional: bool) -> bool:
    if posterior == "ladder" and prior != "hierarchical":
        return False
    if objective in ("ae", "rae") and (prior, posterior) != ("standard_normal", "constant"):
        return False
    return not ({(objective, posterior), (prior, posterior)} & REFUSED or (prior == "vamp" and conditional))


def matrix() -> list[tuple[str, str, str, str, bool]]:
    """Combinations among which every pair of choices occurs that is not refused; each takes most of those left."""
    groups = map(choices, ("objective", "prior", "posterior", "likelihood"))
    rows = {row: set(itertools.combinations(enumerate(row), 2)) for row in itertools.product(*groups, [False, True])}
    rows = {row: pairs for row, pairs in rows.items() if fits(*row)}
    left, chosen = set().union(*rows.values()), []
    while left:
        chosen.append(max(rows, key=lambda row: len(rows[row] & left)))
        left -= rows[chosen[-1]]
    return chosen


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "prior", "posterior", "likelihood", "conditional"), matrix())
def test_every_combination_trains(objective: str, prior: str, posterior: str, likelihood: str, conditional: bool):
    parts = {"objective": objective, "prior": prior, "posterior": posterior, "likelihood": likelihood}
    train_one_epoch(config(**parts, model="mlp", conditional=conditional))


@pytest.mark.parametrize(
    ("model", "likelihood", "conditional"),
    list(itertools.product(choices("model"), choices("likelihood"), [False, True])),
)
def test_every_model_has_every_likelihood(model: str, likelihood: str, conditional: bool) -> None:
    train_one_epoch(config(model=model, likelihood=likelihood, conditional=conditional))


NONSENSE = [
    (("likelihood=gaussian", "data.binarize=dynamic"), "likelihood=gaussian with data.binarize=dynamic"),
    (("likelihood=continuous_bernoulli", "data.binarize=threshold"), "with data.binarize=threshold"),
    (("likelihood=discretized_logistic", "data.binarize=dynamic"), "use data.binarize=none"),
    (("likelihood=autoregressive",), "likelihood=autoregressive with data.binarize=none: .* use data.binarize=dynamic"),
    (("objective=iwae", "beta=4"), "objective=iwae has no beta"),
    (("objective=mmd", "beta=0.5"), "objective=mmd has no beta"),
    (("objective=ciwae", "beta=0.5"), "objective=ciwae has no beta"),
    (("objective=ciwae", "objective.elbo_weight=2"), "objective: elbo_weight is 2"),
    (("objective=piwae", "objective.m=0"), "objective: m is 0"),
    (("objective=factor", "beta=4"), "objective=factor has no beta"),
    (("objective=factor", "objective.layers=0"), "objective: layers is 0"),
    (("objective=factor", "objective.betas=[0.5]"), "objective.betas=.*it must be a list of 2 values"),
    (("objective=factor", "batch_size=1"), "batch_size=1: objective=factor compares"),
    (("objective.free_bits=0.1", "prior=mixture"), "objective.free_bits=0.1 with prior=mixture"),
    (("objective.free_bits=0.1", "posterior=full_covariance"), "and posterior=full_covariance"),
    (("objective.free_bits=0.1", "posterior=iaf"), "and posterior=iaf"),
    (("objective=beta_tcvae", "posterior=coupling"), "objective=beta_tcvae with posterior=coupling"),
    (("prior=vamp", "posterior=iaf"), "prior=vamp with posterior=iaf"),
    (("objective=rae", "posterior=diagonal"), "objective=rae with posterior=diagonal: .*; use posterior=constant"),
    (("objective=ae", "posterior=full_covariance"), "objective=ae with posterior=full_covariance: its loss depends on"),
    (("objective=rae", "prior=vamp"), "objective=rae with prior=vamp: .* by python scripts/fit_prior.py"),
    (("objective=rae", "model=ladder"), "objective=rae with prior=hierarchical: its loss does not depend on the prior"),
    (("objective=rae", "objective.weight_penalty=-1"), "objective: weight_penalty is -1"),
    (("posterior=constant", "posterior.scale=0"), "posterior: scale is 0.0; it must be from"),
    (
        ("objective=capacity", "posterior=constant", "latent_dim=20"),
        r"objective.capacity=25 with posterior=constant: .* is at least 36\.2 nats; set objective.capacity above",
    ),
    (("objective=factor", "latent_dim=1"), "latent_dim=1 with objective=factor: the total correlation"),
    (
        ("objective=factor", "optimizer._target_=torch.optim.SGD", "~optimizer.betas"),
        "objective: its parameters have the option betas of their own, which SGD does not take; choose",
    ),
    (
        ("model=ladder", "experiment=iwae_vae_k1", "data=digits"),
        "model=ladder with posterior=diagonal: .*, or add prior=hierarchical posterior=ladder",
    ),
    (("model=ladder", "posterior=iaf"), "model=ladder with posterior=iaf: .*, or add posterior=ladder"),
    (("posterior=ladder",), "posterior: the prior has no groups of dimensions; choose prior=hierarchical"),
    (("prior=hierarchical", "prior.layers=30"), "prior: layers is 30"),
    (("posterior=coupling", "latent_dim=1"), "posterior: latent_dim is 1"),
    (
        ("objective=mmd", "prior=flow"),
        "objective.kl_weight=0 with prior=flow: only the term with this weight trains a prior",
    ),
    (("beta=0", "prior=mixture"), "beta=0 with prior=mixture: only the term with this weight trains a prior; set beta"),
    (("objective.beta=0", "prior=flow"), "objective.beta=0 with prior=flow: "),
    (("objective=beta_tcvae", "objective.gamma=0", "prior=mixture"), "objective.gamma=0 with prior=mixture: "),
    (("objective=capacity", "objective.gamma=0", "prior=mixture"), "objective.gamma=0 with prior=mixture: "),
    (("posterior=constant", "objective.free_bits=1"), "for prior=standard_normal with posterior=diagonal."),
    (("objective=beta_tcvae", "batch_size=1"), "batch_size=1: objective=beta_tcvae compares"),
    (("prior=vamp", "conditional=true"), "prior=vamp with conditional=true"),
    (("schedule=cosine", "schedule.warmup=2"), "schedule: warmup is 2.0"),
    (("objective=iwae", "objective.k=0"), "objective: k is 0"),
    (("prior=flow", "latent_dim=1"), "prior: latent_dim is 1"),
    (("likelihood=gaussian", "likelihood.scale=0"), "likelihood: scale is 0"),
    (("likelihood=autoregressive", "likelihood.kernel_size=4"), "likelihood: kernel_size is 4; it must be odd"),
    (("likelihood=autoregressive", "likelihood.kernel_size=99"), "kernel_size is 99; it must be at most 57"),
]


@pytest.mark.parametrize(("overrides", "message"), NONSENSE, ids=lambda value: "_".join(value))
def test_what_makes_no_sense_is_refused_with_the_reason(overrides: tuple[str, ...], message: str, tmp_path) -> None:
    with pytest.raises(SettingsError, match=message):
        cfg, hydra = composed_with_hydra("data=digits", "accelerator=cpu", "max_epochs=2", *overrides)
        train(cfg, tmp_path / "run", hydra)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "overrides",
    [
        ("objective=beta_tcvae",),
        ("objective=mmd",),
        ("objective=factor",),
        ("objective=capacity",),
        ("objective.free_bits=0.1",),
    ],
)
def test_objectives_of_whole_batches_are_refused_in_several_processes(overrides: tuple[str, ...], tmp_path) -> None:
    cfg, hydra = composed_with_hydra("data=digits", "accelerator=ddp_cpu", *overrides)
    name = hydra.runtime.choices.objective
    with pytest.raises(SettingsError, match=f"objective={name} in 2 processes: it needs the whole batch"):
        train(cfg, tmp_path / "run", hydra)
    assert not (tmp_path / "run").exists()
    check_processes(cfg, {}, build_objective(cfg, 100), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ("prior=vamp", "prior.components=20", "objective=iwae", "posterior=full_covariance", "schedule=iwae"),
        (
            "prior=flow",
            "model=resnet",
            "model.channels=[4,8]",
            "conditional=true",
            "schedule=cosine",
            "latent_dim=2",
            "likelihood=autoregressive",
            "data.binarize=dynamic",
        ),
        ("prior=mixture", "likelihood=gaussian", "objective=beta_tcvae", "accelerator.precision=bf16-mixed"),
        ("likelihood=continuous_bernoulli", "objective=factor", "accelerator.precision=bf16-mixed"),
        ("objective=rae", "objective.gradient_penalty=0.1", "conditional=true", "accelerator.precision=bf16-mixed"),
    ],
    ids=lambda overrides: overrides[0],
)
def test_whole_runs_of_far_apart_choices(overrides: tuple[str, ...], tmp_path) -> None:
    """With figures, checkpoints, TensorBoard and all."""
    cfg = composed("data=digits", "accelerator=cpu", "max_epochs=2", "latent_dim=4", *overrides)
    metrics = train(cfg, tmp_path / "run")
    assert (tmp_path / "run" / "figures" / "results.png").exists()
    assert torch.isfinite(torch.tensor(float(metrics["test/elbo"])))
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    losses = [float(dict(zip(rows[0].split(","), row.split(","), strict=True))["val/loss"]) for row in rows[1:]]
    assert losses[1] < losses[0]
