"""The wheel has all that the installed commands need."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built and unpacked."""
    place = tmp_path_factory.mktemp("wheel")
    words = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(place), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, timeout=300)
    (wheel,) = place.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(place / "site")
    return place / "site"


def entry_points(site: Path) -> Mapping[str, str]:
    (file,) = site.glob("mnist_vae-*.dist-info/entry_points.txt")
    return dict(line.split(" = ") for line in file.read_text().splitlines() if " = " in line)


def call(site: Path, name: str, *words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """The installed command of that name."""
    module, _, function = entry_points(site)[name].partition(":")
    code = f"import sys; sys.argv[0] = {name!r}; from {module} import {function}; {function}()"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


def test_it_has_every_config_and_a_command_for_every_tool(installed: Path) -> None:
    def configs(folder: Path) -> set[str]:
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml")}

    assert configs(installed / "mnist_vae" / "configs") == configs(ROOT / "configs")
    tools = {path.stem for path in (ROOT / "scripts").glob("*.py")} - {"benchmark", "notebook", "record_explorer"}
    assert set(entry_points(installed)) == {"mnist-vae", *(f"mnist-vae-{name.replace('_', '-')}" for name in tools)}
    assert (installed / "mnist_vae" / "py.typed").exists() and not (installed / "tests").exists()


def test_it_trains_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    done = call(installed, "mnist-vae", *TINY, "hydra.run.dir=outputs/mine", cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert (tmp_path / "outputs" / "mine" / "metrics.json").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"outputs"}
    again = ["--config-path", "outputs/mine/.hydra", "--config-name", "config", "--cfg", "job"]
    done = call(installed, "mnist-vae", *again, cwd=tmp_path)
    assert done.returncode == 0 and "latent_dim: 3" in done.stdout, done.stderr
    done = call(installed, "mnist-vae-report", "sweep=outputs/mine", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "outputs" / "mine" / "report.html").exists(), done.stderr
    done = call(installed, "mnist-vae-evaluate", "run=outputs/mine", cwd=tmp_path)
    assert done.returncode == 0 and "ELBO" in done.stdout, done.stderr


def test_its_help_names_the_installed_commands(installed: Path, tmp_path: Path) -> None:
    help = call(installed, "mnist-vae", "--help", cwd=tmp_path).stdout
    assert "mnist-vae -m [key=value,value" in help and "python train.py" not in help and "model: conv" in help
    tool = call(installed, "mnist-vae-evaluate", "--help", cwd=tmp_path).stdout
    assert "mnist-vae-evaluate run=outputs/runs" in tool and "scripts/" not in tool
