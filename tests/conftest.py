"""Shared by all tests: small configurations, the command line as a user runs it, and the real MNIST if it is here."""

import importlib
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import FileLock
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict

from mnist_vae.cli import entry
from mnist_vae.config import error_messages, schema
from tests.forks import FORK_WORKERS, ROOT, Fork

schema.register()


# The files that take longest, first: one of them at the end would keep a single worker busy.
LONGEST = (
    "test_multirun.py",
    "test_notebooks.py",
    "test_launchers.py",
    "test_resume.py",
    "test_own_package.py",
    "test_distributed.py",
    "test_browser.py",
    "test_search.py",
    "test_bad_commands.py",
    "test_benchmark.py",
    "test_fidelity.py",
    "test_wheel.py",
)


def pytest_configure() -> None:
    """Let matplotlib list the fonts before any test: one that finds it slow would find a warning in what is printed."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        importlib.import_module("matplotlib.font_manager")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; the others keep their order."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def composed(*overrides: str) -> DictConfig:
    """The config that `python train.py <overrides>` would run."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return compose("train", overrides=list(overrides))


def composed_with_hydra(*overrides: str) -> tuple[DictConfig, DictConfig]:
    """The same config, and Hydra's own."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        cfg = compose("train", overrides=list(overrides), return_hydra_config=True)
    OmegaConf.set_readonly(cfg, False)
    hydra = cfg.hydra
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, hydra


TINY = ("data=digits", "model.hidden_dims=[16]", "latent_dim=3", "max_epochs=2", "accelerator=cpu")


@pytest.fixture
def tiny() -> Callable[..., DictConfig]:
    """A run of a second or so on the embedded digits, with the overrides given."""
    return lambda *overrides: composed(*TINY, *overrides)


def command(
    *arguments: str, script: str = "train.py", cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`python train.py <arguments>` in a process of its own, in the project's folder."""
    return subprocess.run(
        [sys.executable, script, *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def forked(
    *arguments: str, script: str = "train.py", cwd: Path = ROOT, before: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """What `command` does, without the seconds that loading torch takes: for what is not about starting.

    Args:
        before: code that runs first.
    """
    with tempfile.TemporaryDirectory() as place:
        stdout, stderr = Path(place, "stdout"), Path(place, "stderr")
        code = Fork(
            script, arguments, stdout, stderr, {**os.environ, "COLUMNS": "120", **environment}, cwd, before
        ).wait()
        return subprocess.CompletedProcess(arguments, code, stdout.read_text(), stderr.read_text())


def forked_sweep(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `command` does with the words of a sweep, of which the workers are forks too."""
    return forked(*arguments, before=FORK_WORKERS, **{"OMP_NUM_THREADS": "1", **environment})


def least_seconds(call: Callable[[], Any], enough: float, times: int = 3) -> float:
    """The least processor time that the processes started by `call` took: other work on the machine hardly counts.

    Args:
        enough: what takes less than this is not tried again.
    """
    seconds: list[float] = []
    while len(seconds) < times and min(seconds, default=enough) >= enough:
        before = os.times()
        call()
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(seconds)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without the pictures at their end, most of a tiny run's time: for what is not about these."""
    monkeypatch.setattr("mnist_vae.training.train.draw_all", lambda run, folder: [])


class Done(NamedTuple):
    """What a tool left: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs scripts/<name>.py on key=value words, in this process, as if it were its own."""

    def run(name: str, *words: str) -> Done:
        script = ROOT / "scripts" / f"{name}.py"
        for variable in (error_messages.FULL_ERROR, entry.SENTENCES):
            monkeypatch.setenv(variable, "0")  # so that what the tool sets is put back
        monkeypatch.setattr(sys, "argv", [str(script), *words])
        code: Any = 0
        capsys.readouterr()
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as stopped:
            code = stopped.code
            if isinstance(code, str):
                print(code, file=sys.stderr)
                code = 1
        printed = capsys.readouterr()
        return Done(code or 0, printed.out, printed.err)

    return run


def train_once(factory: pytest.TempPathFactory, name: str, runs: Mapping[str, Sequence[str]]) -> Path:
    """A folder with complete runs on the embedded digits, by their names; one worker trains them for all."""
    from mnist_vae.training.train import train

    place = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    with FileLock(place / f"{name}.lock"):
        for run, overrides in runs.items():
            if not (place / name / run / "metrics.json").exists():
                train(composed("data=digits", "accelerator=cpu", *overrides), place / name / run)
    return place / name


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three runs: `mlp`, `plane` of two latent dimensions, `conv`. Tests copy what they write into."""
    mlp = ("lr=3e-3", "model.hidden_dims=[32]")
    conv = ("lr=3e-3", "model=conv", "model.channels=[4,8]", "model.hidden_dim=16")
    runs = {
        "mlp": (*mlp, "latent_dim=5", "max_epochs=3"),
        "plane": (*mlp, "latent_dim=2", "max_epochs=2", "beta=2"),
        "conv": (*conv, "latent_dim=3", "max_epochs=1", "data.binarize=dynamic"),
    }
    return train_once(tmp_path_factory, "trained", runs)


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """A copy of those runs, to write into."""
    return Path(shutil.copytree(trained, tmp_path / "runs"))


@pytest.fixture(scope="session")
def real_mnist() -> str:
    """The folder of the real MNIST, from MNIST_VAE_DATA; tests that need it are skipped without it."""
    root = os.environ.get("MNIST_VAE_DATA")
    if not root or not (Path(root) / "MNIST" / "raw").is_dir():
        pytest.skip("MNIST_VAE_DATA does not point to a folder with MNIST in it")
    return str(Path(root).resolve())
