from pathlib import Path

import pytest

from mnist_vae.training.board import short_names, update_links


def run(top: Path, name: str) -> Path:
    (top / name / "tensorboard").mkdir(parents=True)
    return top / name


def names(top: Path) -> list[str]:
    return sorted(short_names(path.parent for path in top.rglob("tensorboard")).values())


def test_a_sweeps_jobs_are_named_by_what_differs(tmp_path: Path) -> None:
    for beta in (1, 2):
        run(tmp_path, f"beta={beta},latent_dim=10,objective=beta_tcvae")
    assert names(tmp_path) == ["beta=1", "beta=2"]
    run(tmp_path, "beta=1,latent_dim=10")
    assert names(tmp_path) == ["beta=1", "beta=1,objective=beta_tcvae", "beta=2,objective=beta_tcvae"]


def test_a_name_is_never_empty(tmp_path: Path) -> None:
    run(tmp_path, "beta=1")
    run(tmp_path, "beta=1,lr=2")
    assert names(tmp_path) == ["beta=1", "lr=2"]


def test_folders_that_hold_all_runs_are_left_out(tmp_path: Path) -> None:
    run(tmp_path, "runs/2025-01-31/20-06-36")
    assert names(tmp_path) == ["20-06-36"]
    run(tmp_path, "runs/2025-02-01/20-06-36")
    assert names(tmp_path) == ["2025-01-31/20-06-36", "2025-02-01/20-06-36"]
    run(tmp_path, "mine")
    assert names(tmp_path) == ["mine", "runs/2025-01-31/20-06-36", "runs/2025-02-01/20-06-36"]


def test_a_run_itself_can_be_shown(tmp_path: Path) -> None:
    assert names(run(tmp_path, "mine")) == ["mine"]


def test_no_two_runs_have_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("c,x", "x,c", "c,y"):
        run(tmp_path / "swapped", name)
    assert names(tmp_path / "swapped") == ["c,x", "x,c", "y"]
    run(run(tmp_path / "nested", "run"), "run")
    assert names(tmp_path / "nested") == ["run", "run/run"]
    monkeypatch.chdir(tmp_path / "nested" / "run")
    assert list(short_names([Path(), Path("run")]).values()) == ["run", "run/run"]


def test_links_follow_the_runs(tmp_path: Path) -> None:
    top, view = tmp_path / "outputs", tmp_path / "view"
    view.mkdir()
    one = run(top, "seed=0,beta=1")
    update_links(top, view)
    assert [path.name for path in view.iterdir()] == ["seed=0,beta=1"]
    run(top, "seed=1,beta=1")
    run(top, "seed=1,beta=1/inside")
    update_links(top, view)
    assert (view / "seed=0").readlink() == one.resolve() / "tensorboard"
    assert [path.name for path in one.iterdir()] == ["tensorboard"]  # nothing was written into a run
