"""Starting with the weights of another run: what is loaded, what is refused, and when nothing is loaded."""

import hashlib
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from mnist_vae.config.build import build_vae
from mnist_vae.models.vae import VAE
from mnist_vae.runs.folder import RunFolder
from mnist_vae.runs.warm_start import source_of, warm_start
from mnist_vae.utils.errors import RunFolderError, SettingsError
from tests.conftest import composed
from tests.synthetic import make_checkpoint

SMALL = ("data=digits", "model.hidden_dims=[8]", "latent_dim=3")


def begun(folder: Path, *overrides: str) -> tuple[VAE, DictConfig, RunFolder]:
    """A run that is to begin with the weights in the folder `there`, and its VAE's own initial weights."""
    cfg = composed(*SMALL, f"init_from='{folder / 'there'}'", *overrides)
    torch.manual_seed(0)
    return build_vae(cfg, (1, 28, 28), 10), cfg, RunFolder(folder / "here")


def weights_there(folder: Path) -> dict[str, torch.Tensor]:
    content = torch.load(folder / "there" / "checkpoints" / "best.ckpt", weights_only=True)
    return {name.removeprefix("vae."): value for name, value in content["state_dict"].items()}


@pytest.mark.parametrize(
    "word",
    [
        *("latent_dim=3", "conditional=true", "prior=flow", "likelihood=gaussian"),
        *("posterior=full_covariance", "posterior=constant", "objective=rae"),
    ],
)
def test_all_weights_of_an_equal_vae_are_loaded(word: str, tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "there", composed(*SMALL, word))
    vae, cfg, run = begun(tmp_path, word)
    there = weights_there(tmp_path)
    assert not all(torch.equal(value, there[name]) for name, value in vae.state_dict().items())
    start = warm_start(vae, cfg, run)
    assert vae.state_dict().keys() == there.keys()
    assert all(torch.equal(value, there[name]) for name, value in vae.state_dict().items())
    assert start is not None and start.new == start.differing == []
    assert {"encoder", "decoder", "posterior"} <= set(start.loaded)
    file = tmp_path / "there" / "checkpoints" / "best.ckpt"
    assert start.record["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (start.record["checkpoint"], start.record["epoch"]) == (str(file), 4)


@pytest.mark.parametrize(
    ("there", "here", "part", "said"),
    [
        ("prior=standard_normal", "prior=flow", "prior", "prior (there StandardNormal, here Flow)"),
        ("prior=vamp", "prior=mixture", "prior", "prior (there VampPrior, here Mixture)"),
        ("prior=flow", "prior=standard_normal", "prior", "prior (there Flow, here StandardNormal)"),
        (
            "likelihood=bernoulli",
            "likelihood=continuous_bernoulli",
            "likelihood",
            "likelihood (there Bernoulli, here ContinuousBernoulli)",
        ),
    ],
)
def test_a_prior_or_likelihood_of_another_class_is_new(
    there: str, here: str, part: str, said: str, tmp_path: Path
) -> None:
    make_checkpoint(tmp_path / "there", composed(*SMALL, there))
    vae, cfg, run = begun(tmp_path, here)
    initial = {name: value.clone() for name, value in vae.state_dict().items()}
    start = warm_start(vae, cfg, run)
    assert start is not None and start.new == [said] and start.loaded == ["encoder", "decoder", "posterior"]
    assert start.sentence.endswith(f"best.ckpt: encoder, decoder, posterior loaded; new {said}")
    others = weights_there(tmp_path)
    for name, value in vae.state_dict().items():
        expected = initial if name.startswith(f"{part}.") else others
        assert torch.equal(value, expected[name]), name


def test_what_differs_without_another_shape_is_said(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "there", composed(*SMALL, "model.activation=tanh"))
    start = warm_start(*begun(tmp_path))
    assert start is not None
    assert start.sentence.endswith("loaded; differing in model.activation (there tanh, here relu)")


def test_another_constant_scale_is_said(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "there", composed(*SMALL, "posterior=constant", "posterior.scale=0.5"))
    start = warm_start(*begun(tmp_path, "objective=rae"))
    assert start is not None and start.sentence.endswith("loaded; differing in posterior.scale (there 0.5, here 0.1)")


MISMATCHES = [
    (
        "latent_dim=4",
        r"decoder\.0\.weight is \(8, 4\) there and \(8, 3\) here; .* in latent_dim \(there 4, here 3\)\.$",
    ),
    ("model.hidden_dims=[9]", r"encoder\.1\.weight .* in model\.hidden_dims \(there \[9\], here \[8\]\)\.$"),
    (
        "model.hidden_dims=[8,8]",
        r"decoder\.2\.weight is \(8, 8\) there and \(784, 8\) here; .* in model\.hidden_dims \(",
    ),
    (
        "posterior=constant",
        r"to_posterior\.weight is \(3, 8\) there and \(6, 8\) here; .* in posterior \(there Constant, here Diagonal\)",
    ),
    ("posterior=full_covariance", r"to_posterior\.weight .* in posterior \(there FullCovariance, here Diagonal\)\.$"),
    ("conditional=true", r"decoder\.0\.weight .* in conditional \(there True, here False\)\.$"),
    ("likelihood=discretized_logistic", r"parameters of the likelihood DiscretizedLogistic, .* not those of Bernoulli"),
    (
        "likelihood=gaussian",
        r"parameters of the likelihood Gaussian, which are not those of Bernoulli; choose the like",
    ),
]


@pytest.mark.parametrize(("there", "message"), MISMATCHES, ids=[there for there, _ in MISMATCHES])
def test_another_shape_is_refused_with_the_key(there: str, message: str, tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "there", composed(*SMALL, there))
    with pytest.raises(SettingsError, match=message) as raised:
        warm_start(*begun(tmp_path))
    assert str(raised.value).startswith(f"init_from={tmp_path / 'there'}: ")


def test_a_prior_of_the_same_class_must_have_the_same_shape(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "there", composed(*SMALL, "prior=mixture", "prior.components=5"))
    with pytest.raises(SettingsError, match=r"prior\..* in prior\.components \(there 5, here 6\)\.$"):
        warm_start(*begun(tmp_path, "prior=mixture", "prior.components=6"))


def test_other_images_are_refused(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "there", composed(*SMALL))
    _, cfg, run = begun(tmp_path)
    message = r"in data \(there images 1x28x28 with 10 labels, here images 1x8x8 with 10 labels\)\.$"
    with pytest.raises(SettingsError, match=message):
        warm_start(build_vae(cfg, (1, 8, 8), 10), cfg, run)


def test_a_checkpoints_own_file_can_be_named(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "other", composed(*SMALL))
    file = (tmp_path / "other" / "checkpoints" / "best.ckpt").rename(tmp_path / "there")
    vae, cfg, run = begun(tmp_path)
    start = warm_start(vae, cfg, run)
    assert start is not None and start.checkpoint == file


def test_a_run_that_has_begun_does_not_need_the_other_one(tmp_path: Path) -> None:
    _, cfg, run = begun(tmp_path)
    with pytest.raises(SettingsError, match="there is no such folder"):
        source_of(cfg, run)
    run.last.parent.mkdir(parents=True)
    run.last.touch()
    assert source_of(cfg, run) is None
    run.last.unlink()
    run.write_metrics({"test/elbo": -1.0})
    assert source_of(cfg, run) is None


def test_nothing_is_loaded_by_default(tmp_path: Path) -> None:
    vae, cfg, run = begun(tmp_path, "init_from=null")
    assert warm_start(vae, cfg, run) is None


@pytest.mark.parametrize("below", ["", "inner", "checkpoints/best.ckpt"])
def test_the_runs_own_folder_is_refused(below: str, tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "there", composed(*SMALL))
    (tmp_path / "link").symlink_to(tmp_path / "there")
    _, cfg, _ = begun(tmp_path)
    cfg.init_from = str(tmp_path / "there" / below)
    with pytest.raises(SettingsError, match="it is in the folder of this run itself"):
        source_of(cfg, RunFolder(tmp_path / "link"))


CONTENTS = [
    ({"nothing": 1}, "is no checkpoint of this version's runs"),
    ({"hyper_parameters": [], "epoch": 0, "state_dict": {}}, "is no checkpoint of this version's runs"),
    ({"epoch": None}, "is no checkpoint of this version's runs"),
    ({"state_dict": {"vae.encoder.1.weight": "text"}}, r"encoder\.1\.weight is \(\) there and \(8, 784\) here"),
    ({"state_dict": {}}, r"encoder\.1\.weight is absent there and \(8, 784\) here; .* differ in their code\.$"),
]


@pytest.mark.parametrize(("changes", "message"), CONTENTS, ids=[str(changes) for changes, _ in CONTENTS])
def test_a_damaged_checkpoint_is_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    file = make_checkpoint(tmp_path / "there", composed(*SMALL)) / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    torch.save(changes if "nothing" in changes else content | changes, file)
    with pytest.raises((SettingsError, RunFolderError), match=message):
        warm_start(*begun(tmp_path))


def test_a_file_cut_short_is_refused_with_the_key(tmp_path: Path) -> None:
    file = make_checkpoint(tmp_path / "there", composed(*SMALL)) / "checkpoints" / "best.ckpt"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RunFolderError, match=r"^init_from=.*best\.ckpt is damaged"):
        warm_start(*begun(tmp_path))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    file = make_checkpoint(tmp_path / "there", composed(*SMALL)) / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    content["state_dict"]["vae.to_posterior.bias"][0] = torch.nan
    torch.save(content, file)
    with pytest.raises(RunFolderError, match="some weights there are not finite numbers"):
        warm_start(*begun(tmp_path))
