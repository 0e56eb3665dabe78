"""Imports point inward only: the mathematics knows torch, not Lightning, Hydra or the rest of the project."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "mnist_vae"
INSIDE = {"encoding", "errors", "figures", "gallery", "generation", "importance", "likelihoods", "metrics", "networks"}
INSIDE |= {"noise", "objectives", "posteriors", "priors", "schedules", "vae", "walks"}
OUTSIDE = {"cli", "options", "tools"}  # with train.py, scripts and hydra_plugins
OUTSIDE |= {"closing", "jobs", "multirun", "search", "sentences", "watching", "worker"}  # a sweep
FOREIGN = {"pytorch_lightning", "lightning", "hydra", "omegaconf", "tqdm", "tensorboard", "sklearn"}  # to the inside
HEAVY = {"torch", "pytorch_lightning", "torchvision", "matplotlib", "sklearn"}


def imports(path: Path) -> set[str]:
    """Every name that a file imports, as dotted paths, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import, which this test can't place"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", [p for p in FILES if room(p) in INSIDE], ids=room)
def test_the_inside_knows_torch_only(path: Path) -> None:
    for name in imports(path):
        package, _, rest = name.partition(".")
        assert package not in FOREIGN, f"{path.name} imports {name}"
        if package == "mnist_vae":
            assert rest.partition(".")[0] in INSIDE, f"{path.name} imports {name}, which lies further out"


@pytest.mark.parametrize("path", [p for p in FILES if room(p) not in OUTSIDE], ids=room)
def test_the_middle_does_not_know_the_command_line(path: Path) -> None:
    for name in imports(path):
        assert not any(name == f"mnist_vae.{outer}" or name.startswith(f"mnist_vae.{outer}.") for outer in OUTSIDE)


def test_every_file_has_a_ring() -> None:
    assert {room(path) for path in FILES} >= INSIDE | OUTSIDE


def test_the_front_door_imports_nothing_heavy() -> None:
    code = f"import sys, mnist_vae.cli; print(sorted({HEAVY!r} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
