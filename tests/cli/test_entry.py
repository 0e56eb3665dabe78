"""The command line as a user runs it, in a process of its own: what it prints, and what it leaves."""

import errno
import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mnist_vae.cli import entry
from mnist_vae.config.error_messages import sentence
from mnist_vae.config.schema import Config
from mnist_vae.runs.folder import RunFolder
from tests.config.test_checks import CHOICES
from tests.conftest import TINY, command, composed, forked, least_seconds
from tests.forks import Fork, start_alone


def timed(*arguments: str) -> tuple[float, str]:
    """How long it took, and what it printed."""
    done = []
    seconds = least_seconds(lambda: done.append(command(*arguments)), enough=1)
    assert all(run.returncode == 0 for run in done), done[0].stderr
    return seconds, done[0].stdout


def test_help_lists_every_key_group_and_choice_within_a_second() -> None:
    seconds, text = timed("--help")
    assert seconds < 1
    scalars = [name for name, kind in Config.__annotations__.items() if kind in (int, float)]
    assert len(scalars) == 6
    for name in scalars:
        assert len(re.findall(rf"^ +{name} +\S.*$", text, re.MULTILINE)) == 1, f"--help needs one line for {name}"
    for choice in CHOICES:
        group, _, name = choice.partition("=")
        assert re.search(rf"^ *{group}: .*\b{name}\b", text, re.MULTILINE), f"--help does not list {choice}"


def test_the_config_is_shown_within_a_second() -> None:
    seconds, text = timed("model=conv", "latent_dim=16", "--cfg", "job")
    assert seconds < 1
    assert "latent_dim: 16" in text and "mnist_vae.models.networks.conv.Conv" in text


@pytest.mark.parametrize(("typed", "expected"), [("model=", "model=conv"), ("latent", "latent_dim="), ("da", "data=")])
def test_shell_completion(typed: str, expected: str) -> None:
    line = f"python train.py {typed}"
    done = command("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert expected in done.stdout, done.stderr


def test_shell_completion_can_be_installed() -> None:
    assert "complete" in command("-sc", "install=bash").stdout


# Two of tests/test_bad_commands.py: found in the config, and when its parts are built.
MISTAKES = [
    (["latent_dmi=3"], "latent_dmi: there is no such key; did you mean latent_dim?"),
    (["batch_size=5000"], "batch_size=5000: the training split of digits has 1300 images"),
]


@pytest.mark.parametrize(("overrides", "message"), MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_a_mistake_gets_one_sentence_and_leaves_nothing(overrides: list[str], message: str, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "today"
    done = forked("data=digits", *overrides, f"hydra.run.dir={folder}")
    assert done.returncode != 0
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr
    assert not folder.exists()


def test_the_whole_error_is_raised_on_demand(tmp_path: Path) -> None:
    done = forked("latent_dim=0", f"hydra.run.dir={tmp_path}/run", HYDRA_FULL_ERROR="1")
    assert done.returncode != 0 and "Traceback" in done.stderr and "SettingsError" in done.stderr


def test_an_unwritable_output_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = forked(*TINY, f"hydra.run.dir={tmp_path}/file/run")
    assert done.returncode != 0 and "hydra.run.dir" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def fill_the_disk(cfg: DictConfig, folder: Path, hydra: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", f"{folder}/metrics.csv")


def test_on_a_full_disk_the_first_error_is_the_one_that_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunFolder, "write_failure", fails)
    hydra = {"mode": RunMode.RUN, "runtime": {"output_dir": str(tmp_path)}, "overrides": {"task": []}}
    monkeypatch.setattr(HydraConfig, "get", lambda: OmegaConf.create(hydra))
    with pytest.raises(OSError, match=r"metrics\.csv") as caught:
        entry.job(composed(*TINY), f"{__name__}.fill_the_disk")
    assert sentence(caught.value) == (
        f"{tmp_path}/metrics.csv: No space left on device; free some space there, or choose another output folder "
        "(hydra.run.dir=…, of a sweep hydra.sweep.dir=…)."
    )


def test_a_mistake_in_a_model_of_a_folder_of_ones_own_names_its_keys(tmp_path: Path) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    yaml = "_target_: mnist_vae.models.networks.conv.Conv\nchannels: [4]\nhidden_dim: 8\n"
    (tmp_path / "mine" / "model" / "small.yaml").write_text(yaml)
    done = forked("--config-dir", "mine", "model=small", "model.chanels=[8]", "data=digits", cwd=tmp_path)
    assert done.stderr == "error: model.chanels: there is no such key; did you mean model.channels?\n"
    done = forked("model=small", "model.nope=[8]", "data=digits", "--config-dir", "mine", cwd=tmp_path)
    keys = "model._target_, model.channels, model.hidden_dim"
    hint = "+model.nope=… adds it, where it is accepted"
    assert done.stderr == f"error: model.nope: there is no such key; there are {keys}; {hint}.\n"
    assert done.returncode == 1 and [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_unexpected_error_is_kept_in_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = forked(
        *TINY,
        "accelerator.devices=1",
        f"hydra.run.dir={folder}",
        "+callbacks.broken._target_=tests.failing_callbacks.RaisingCallback",
    )
    assert done.returncode != 0
    assert "HYDRA_FULL_ERROR=1" in done.stderr and "this one is broken" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" in (folder / "train.log").read_text()
    failure = json.loads((folder / "failed.json").read_text())
    assert "this one is broken" in failure["error"] and "in on_train_epoch_start" in failure["traceback"]
    assert "data=digits" in failure["overrides"] and failure["type"] == "RuntimeError"


def test_a_run_prints_what_is_needed_and_nothing_else(tmp_path: Path) -> None:
    done = command(*TINY, f"hydra.run.dir={tmp_path}/run")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("mlp VAE: 3 latent dimensions, ") and "1,300 training" in lines[1]
    assert [line for line in lines if line.startswith("epoch ")] == lines[2:4]
    closing = "\n".join(lines[4:])
    for word in ("test ELBO", "reconstruction", "KL", "active units", " s, ", "folder", "tensorboard --logdir"):
        assert word in closing
    log = (tmp_path / "run" / "train.log").read_text()
    assert all(line in log for line in lines[:4])
    assert {p.name for p in (tmp_path / "run" / ".hydra").iterdir()} >= {"config.yaml", "hydra.yaml", "overrides.yaml"}
    assert "- latent_dim=3" in (tmp_path / "run" / ".hydra" / "overrides.yaml").read_text()


@pytest.mark.slow
def test_the_quickstart(tmp_path: Path) -> None:
    done = forked("experiment=quickstart", "max_epochs=10", f"hydra.run.dir={tmp_path}/run")
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test/elbo"] > -110


def test_other_folders_and_files_are_not_changed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    forked(*TINY, "latent_dim=0", f"hydra.run.dir={tmp_path}/mine/run")
    assert (tmp_path / "mine").is_dir()
    (tmp_path / "mine" / "thesis.tex").write_text("important")
    for overrides, message in (
        ("latent_dim=0", "must be 1 or more"),
        ("latent_dim=2", "something other than a run"),
    ):
        done = forked(*TINY, overrides, f"hydra.run.dir={tmp_path}/mine")
        assert done.returncode != 0 and message in done.stderr
        assert [path.name for path in (tmp_path / "mine").rglob("*")] == ["thesis.tex"]


def test_the_current_folder_as_the_runs_folder(tmp_path: Path) -> None:
    done = forked(*TINY, "logger=none", "hydra.run.dir=.", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert (tmp_path / "metrics.json").exists() and "tensorboard" not in done.stdout


def without_times(folder: Path) -> dict[str, float | str]:
    """A run's final metrics but for those of its speed."""
    metrics = json.loads((folder / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if name not in ("train_seconds", "images_per_second")}


def test_a_finished_runs_own_config_gives_the_same_run(tmp_path: Path) -> None:
    quick = ("callbacks=none", "logger=none", "data.binarize=dynamic", "max_epochs=1")
    first, again = tmp_path / "first", tmp_path / "again"
    done = forked(*TINY, *quick, f"hydra.run.dir={first}")
    assert done.returncode == 0, done.stderr
    own = ("--config-path", str(first / ".hydra"), "--config-name", "config")
    done = forked(*own, f"hydra.run.dir={again}")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert without_times(again) == without_times(first)
    config = (first / ".hydra" / "config.yaml").read_bytes()
    assert (again / ".hydra" / "config.yaml").read_bytes() == config

    done = forked(*own, f"hydra.run.dir={first}")
    assert done.returncode == 0 and "is complete already" in done.stdout and done.stderr == ""
    for overrides, message in (
        (["lr=0.5"], "lr=0.5: it has no effect, since optimizer.lr has a value of its own here (0.003)"),
        (
            ["lr=0.5", "optimizer.lr=0.5"],
            "belongs to another configuration, which differs in lr (there 0.003,",
        ),
    ):
        done = forked(*own, *overrides, f"hydra.run.dir={first}")
        assert done.returncode == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1
    assert (first / ".hydra" / "config.yaml").read_bytes() == config


def test_hydras_own_copy_of_the_config_can_be_kept_too(tmp_path: Path) -> None:
    run = (*TINY, "callbacks=none", "logger=none", "max_epochs=1", f"hydra.run.dir={tmp_path}")
    done = forked(*run, "hydra.output_subdir=mine")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {"config.yaml", "hydra.yaml", "overrides.yaml"}
    assert (tmp_path / "metrics.json").exists()
    done = forked(*run, "hydra.output_subdir=mine")
    assert done.returncode == 0 and "is complete already" in done.stdout and done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "accelerator", "start"),
    [(signal.SIGINT, "cpu", start_alone), (signal.SIGTERM, "cpu", Fork), (signal.SIGTERM, "ddp_cpu", Fork)],
)
def test_a_stopped_run_prints_how_to_continue(
    stop: signal.Signals, accelerator: str, start: Callable[..., Any], tmp_path: Path
) -> None:
    run = (*TINY, f"accelerator={accelerator}", "max_epochs=2000", f"hydra.run.dir={tmp_path}/run")
    process = start("train.py", run, tmp_path / "stdout", tmp_path / "stderr")
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(stop)
    assert process.wait(timeout=60) == 130
    stderr = (tmp_path / "stderr").read_text()
    assert f"hydra.run.dir={tmp_path}/run" in stderr and "Traceback" not in stderr
