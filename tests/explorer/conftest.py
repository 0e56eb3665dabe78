"""Runs as the explorer shows them: those of `trained`, a conditional one, and one with a learned prior."""

from pathlib import Path

import pytest

from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.runs.load import open_run
from tests.conftest import train_once

SMALL = ("model.hidden_dims=[32]", "max_epochs=2")
MORE = {
    "conditional": (*SMALL, "conditional=true", "latent_dim=3"),
    "vamp": (*SMALL, "prior=vamp", "prior.components=5", "latent_dim=1"),
}


@pytest.fixture(scope="session")
def run_folders(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of runs by their names: `mlp` of five latent dimensions, `plane` of two, `conv` of three, `conditional`
    of three and `vamp` of one.
    """
    more = train_once(tmp_path_factory, "explored", MORE)
    return {name: trained / name for name in ("mlp", "plane", "conv")} | {name: more / name for name in MORE}


@pytest.fixture(scope="session")
def explored(run_folders: dict[str, Path]) -> dict[str, ExploredRun]:
    """These runs."""
    return {name: ExploredRun(open_run(folder), name) for name, folder in run_folders.items()}
