"""A sweep without training: a launcher that leaves in each job's folder what a test wants to be there."""

import copy
import functools
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from mnist_vae.config.overrides import task_overrides
from mnist_vae.runs.folder import RunFolder
from mnist_vae.sweeps.job import running_mark
from mnist_vae.sweeps.multirun import Multirun
from tests.conftest import ROOT, forked_sweep

FAILURE = {"error": "it failed.", "type": "RuntimeError", "traceback": "", "expected": True}

Work = Callable[["FakeJob", DictConfig], Any]


class FakeJob:
    """One job of the sweep, as far as its files go."""

    def __init__(self, sweep: Path, cfg: DictConfig) -> None:
        self.sweep, self.name = sweep, str(cfg.hydra.sweep.subdir)
        self.run = RunFolder(sweep / self.name)
        self.run.path.mkdir(parents=True, exist_ok=True)
        self.cfg = copy.deepcopy(cfg)
        OmegaConf.set_struct(self.cfg, False)
        del self.cfg["hydra"]

    def begin(self) -> None:
        mark = running_mark(self.sweep, self.name)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text("{}")

    def complete(self, **metrics: float) -> None:
        with self.run.claimed(self.cfg):
            pass
        self.run.write_metrics({"test/elbo": -100.0, "epochs": 1, "train_seconds": 1.0, **metrics})

    def fail(self) -> None:
        self.run.write_failure(FAILURE, [])


class FakeLauncher:
    """In the place of Hydra's context, config loader and launcher.

    Args:
        work: called with each job that is launched, in turn.
    """

    def __init__(self, sweep: Path, work: Work) -> None:
        self.sweep, self.work = sweep, work
        self.config_loader = self
        self.launched: list[list[str]] = []

    def load_sweep_config(self, config: DictConfig, overrides: Sequence[str]) -> DictConfig:
        cfg = copy.deepcopy(_composed(tuple(overrides)))
        OmegaConf.set_readonly(cfg, False)
        OmegaConf.set_readonly(cfg.hydra, False)
        cfg.hydra.overrides.task = [text for text in task_overrides(cfg.hydra) if text != "data=digits"]
        return cfg

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        jobs = [FakeJob(self.sweep, self.load_sweep_config(DictConfig({}), list(words))) for words in job_overrides]
        self.launched.append([job.name for job in jobs])
        returned = []
        for job, words in zip(jobs, job_overrides, strict=True):
            result = JobReturn(status=JobStatus.COMPLETED)
            result.return_value = self.work(job, self.load_sweep_config(DictConfig({}), list(words)))
            returned.append(result)
        return returned

    def multirun(self) -> Multirun:
        config = OmegaConf.create({"hydra": {"sweep": {"dir": str(self.sweep)}}})
        return Multirun(config, self, self)  # type: ignore[arg-type]


@functools.cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return compose("train", overrides=["data=digits", *overrides], return_hydra_config=True)


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder: when it was written, and what is in it."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def table(sweep: Path) -> dict[str, dict[str, Any]]:
    """Each complete job's metrics, but for the times."""
    found = {path.parent.name: json.loads(path.read_text()) for path in sweep.glob("*/metrics.json")}
    timed = ("train_seconds", "images_per_second")
    return {name: {key: value for key, value in row.items() if key not in timed} for name, row in found.items()}


def wait_until(come_true: Callable[[], object], seconds: float = 60) -> None:
    """Return once it is true; fail if that takes too long."""
    end = time.monotonic() + seconds
    while not come_true():
        assert time.monotonic() < end, f"it is not so after {seconds} seconds"
        time.sleep(0.05)


def processes_with(setting: str) -> list[str]:
    """The processes that have `NAME=value` in the environment they were started in."""
    found = []
    for process in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if setting.encode() in process.read_bytes().split(b"\0"):
                found.append(process.parent.name)
    return found


def swept(folder: Path, *words: str) -> Path:
    """The folder of a sweep that `python train.py -m <words>` ran there, one job after the other, one thread each."""
    done = forked_sweep("-m", *words, f"hydra.sweep.dir={folder}")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder
