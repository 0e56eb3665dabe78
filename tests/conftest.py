"""Shared by all tests: small configurations, the command line as a user runs it, and the real MNIST if it is here."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from mnist_vae import settings

ROOT = Path(__file__).parents[1]

settings.register()


def composed(*overrides: str) -> DictConfig:
    """The config that `python train.py <overrides>` would run."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return compose("train", overrides=list(overrides))


TINY = ("data=digits", "model.hidden_dims=[16]", "latent_dim=3", "max_epochs=2", "accelerator=cpu")


@pytest.fixture
def tiny() -> Callable[..., DictConfig]:
    """A run of a second or so on the embedded digits, with the overrides given."""
    return lambda *overrides: composed(*TINY, *overrides)


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python train.py <arguments>` in a process of its own, in the project's folder."""
    return subprocess.run(
        [sys.executable, "train.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="session")
def real_mnist() -> str:
    """The folder of the real MNIST, from MNIST_VAE_DATA; tests that need it are skipped without it."""
    root = os.environ.get("MNIST_VAE_DATA")
    if not root or not (Path(root) / "MNIST" / "raw").is_dir():
        pytest.skip("MNIST_VAE_DATA does not point to a folder with MNIST in it")
    return str(Path(root).resolve())
