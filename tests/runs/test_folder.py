"""A run's folder: its files, and how runs are found. Claiming it is tested in test_train.py, where runs are made."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mnist_vae.runs.folder import RunFolder, find_runs
from mnist_vae.utils.errors import RunFolderError
from tests.conftest import composed, composed_with_hydra


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
def test_what_is_no_run_is_reported(outputs: Path, where: str, message: str) -> None:
    with pytest.raises(RunFolderError, match=message):
        find_runs(f"{outputs}/{where}")


def test_hydras_own_config_is_kept_with_the_choices(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.read_choices() == {}
    _, hydra = composed_with_hydra("model=conv")
    run.write_hydra(["model=conv", "seed=1"], hydra)
    stored = OmegaConf.load(tmp_path / ".hydra" / "hydra.yaml")
    assert list(stored) == ["hydra"] and stored.hydra.runtime.choices.model == "conv"  # as Hydra itself writes it
    assert OmegaConf.load(tmp_path / ".hydra" / "overrides.yaml") == ["model=conv", "seed=1"]
    choices = run.read_choices()
    assert (choices["model"], choices["prior"]) == ("conv", "standard_normal") and "experiment" not in choices


@pytest.mark.parametrize(
    "content", ["", "hydra: [", "- a", "runtime: {choices: {model: conv}}", "hydra: &a {runtime: *a}", "\udcff"]
)
def test_damaged_choices_are_no_choices(content: str, tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "hydra.yaml").write_bytes(content.encode(errors="surrogateescape"))
    assert RunFolder(tmp_path).read_choices() == {}


def test_a_folder_with_hydras_own_copy_alone_is_no_other_things(tmp_path: Path) -> None:
    cfg = composed("data=digits")
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    RunFolder(tmp_path, "mine/deep").refuse_other_configuration(cfg)
    for output_subdir in (None, "other"):
        with pytest.raises(RunFolderError, match="holds something other than a run"):
            RunFolder(tmp_path, output_subdir).refuse_other_configuration(cfg)


@pytest.mark.parametrize("leads", ["..", "elsewhere", "/tmp", "missing/../.."])
def test_a_subfolder_that_leads_outside_is_refused(leads: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    (tmp_path / "run" / "kept").mkdir()
    (tmp_path / "run" / "inside").symlink_to("kept")
    for name in ("new", "kept", "inside"):
        assert run.subfolder(name) == tmp_path / "run" / name
    target = tmp_path / leads if leads == "elsewhere" else leads
    (run.path / "figures").symlink_to(target)
    with pytest.raises(RunFolderError, match=r"figures leads outside the run's folder, to .*; nothing was written"):
        run.subfolder("figures")


def test_a_run_in_a_folder_that_is_itself_a_link_is_written(tmp_path: Path) -> None:
    (tmp_path / "disk" / "run").mkdir(parents=True)
    (tmp_path / "outputs").symlink_to(tmp_path / "disk")
    assert RunFolder(tmp_path / "outputs" / "run").subfolder("figures") == tmp_path / "outputs" / "run" / "figures"


@pytest.mark.parametrize(
    ("overrides", "extended"),
    [
        (["max_epochs=5"], True),
        (["trainer.max_epochs=5"], True),
        (["max_epochs=5", "data.root=/elsewhere"], True),
        ([], False),
        (["max_epochs=2"], False),
        (["trainer.max_epochs=-1"], False),
        (["max_epochs=5", "seed=1"], False),
        (["max_epochs=5", "objective=capacity"], False),
    ],
)
def test_more_epochs_and_nothing_else_extend_a_run(overrides: list[str], extended: bool, tmp_path: Path) -> None:
    run, base = RunFolder(tmp_path / "run"), ("data=digits", "max_epochs=3")
    assert not run.is_extended_by(composed(*base))
    with run.claimed(composed(*base)):
        run.write_metrics({"test/elbo": -100.0})
    cfg = composed(*base, *overrides)
    assert run.is_extended_by(cfg) == extended
    if not extended and overrides:
        with pytest.raises(RunFolderError, match="belongs to another configuration"), run.claimed(cfg):
            pass
        assert run.complete
        return
    with run.claimed(cfg):
        assert run.complete != extended and run.extended_from == [0] * extended  # it had no rows
    assert not run.is_extended_by(cfg)
    if overrides:
        with pytest.raises(RunFolderError, match="belongs to another configuration"):
            run.refuse_other_configuration(cfg=composed(*base, "max_epochs=9"))  # as a job of a sweep


@pytest.mark.parametrize(
    ("content", "threads"),
    [
        ('{"threads": 3}', 3),
        ('{"threads": true}', None),
        ('{"threads": 100000}', None),
        ('{"threads": "2"}', None),
        ("[]", None),
        ("", None),
        ("[" * 100_000, None),
        (None, None),
    ],
)
def test_the_number_of_threads_is_read_from_the_environment(content: str | None, threads: int, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "environment.json").write_text(content)
    assert RunFolder(tmp_path).read_threads() == threads


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a": ' * 100_000, "{}", "7", "null"])
def test_damaged_metrics_and_failures_are_reported(content: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.failure.write_text(content)
    assert run.read_failure() == {"error": "its failed.json is damaged.", "type": "", "traceback": "", "overrides": []}
    run.metrics.write_text(content)
    with pytest.raises(RunFolderError, match=r"metrics.json is damaged"):
        run.read_metrics()
