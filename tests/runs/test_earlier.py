"""Runs of earlier versions open: other names of classes, keys that were not there, keys that are gone."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from mnist_vae.runs.earlier import translate
from mnist_vae.runs.folder import load_config
from mnist_vae.runs.load import open_run


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mnist_vae.networks.conv.Conv", "mnist_vae.models.networks.conv.Conv"),
        ("mnist_vae.models.autoregressive.Autoregressive", "mnist_vae.models.likelihoods.Autoregressive"),
        ("mnist_vae.priors.Vamp", "mnist_vae.models.priors.VampPrior"),
        ("mnist_vae.priors.StandardNormal", "mnist_vae.models.priors.StandardNormal"),
        ("mnist_vae.sources.TorchvisionSource", "mnist_vae.data.mnist.TorchvisionSource"),
        ("mnist_vae.sources.DigitsSource", "mnist_vae.data.digits.DigitsSource"),
        ("torch.optim.Adam", "torch.optim.Adam"),
    ],
)
def test_classes_have_their_present_names(old: str, new: str) -> None:
    assert translate(OmegaConf.create({"part": {"_target_": old}})).part["_target_"] == new


def test_a_config_of_this_version_is_unchanged(runs: Path) -> None:
    stored = load_config(runs / "mlp" / ".hydra" / "config.yaml")
    assert translate(stored) == stored


def test_a_run_of_an_earlier_version_opens(runs: Path) -> None:
    config = runs / "mlp" / ".hydra" / "config.yaml"
    before = open_run(runs / "mlp").vae.state_dict()
    text = config.read_text().replace("mnist_vae.models.", "mnist_vae.").replace("data.digits.", "sources.")
    stored = OmegaConf.create(text)
    for key in ("conditional", "posterior", "schedule", "trainer", "monitor", "monitor_mode", "init_from"):
        del stored[key]
    stored.accelerator.cuda_graph = False
    OmegaConf.save(stored, config)
    run = open_run(runs / "mlp")
    assert all(torch.equal(value, before[name]) for name, value in run.vae.state_dict().items())
    assert len(run.data().test_split[0]) == 297
