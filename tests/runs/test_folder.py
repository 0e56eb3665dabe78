"""Finding runs. Claiming and refusing folders is tested in test_training.py, where runs are made."""

from pathlib import Path

import pytest

from mnist_vae.runs.folder import find_runs
from mnist_vae.utils.errors import RunFolderError


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    for name in ("sweep/0", "sweep/2", "sweep/10", "runs/a run", "runs/b[1]"):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        (tmp_path / name / ".hydra" / "config.yaml").touch()
        (tmp_path / name / "figures").mkdir()
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("runs/a run", ["runs/a run"]),
        ("runs/b[1]", ["runs/b[1]"]),
        ("sweep", ["sweep/0", "sweep/2", "sweep/10"]),
        ("sweep/", ["sweep/0", "sweep/2", "sweep/10"]),
        ("sweep/*", ["sweep/0", "sweep/2", "sweep/10"]),
        ("sweep/[01]*", ["sweep/0", "sweep/10"]),
        ("runs/*", ["runs/a run", "runs/b[1]"]),
        ("**/0", ["sweep/0"]),
        (".", ["runs/a run", "runs/b[1]", "sweep/0", "sweep/2", "sweep/10"]),
    ],
)
def test_runs_are_found(outputs: Path, where: str, found: list[str]) -> None:
    assert [str(path.relative_to(outputs)) for path in find_runs(f"{outputs}/{where}")] == found


def test_relative_paths_and_the_home_folder(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(outputs / "sweep")
    assert find_runs("0") == [Path("0")]
    monkeypatch.setenv("HOME", str(outputs))
    assert find_runs("~/sweep/2") == [outputs / "sweep" / "2"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nowhere", "nowhere: there is no such folder"),
        ("sweep/7*", "there is no such folder"),
        ("empty", "there is no run in it; a run's folder has a file .hydra/config.yaml"),
        ("runs/a run/figures", "did you mean .*runs/a run"),
    ],
)
def test_what_is_no_run_is_told(outputs: Path, where: str, message: str) -> None:
    with pytest.raises(RunFolderError, match=message):
        find_runs(f"{outputs}/{where}")
