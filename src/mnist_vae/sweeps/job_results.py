"""One job of a sweep, as read from its folder."""

import json
import math
import os
import socket
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from omegaconf import OmegaConf

from mnist_vae.runs.folder import RunFolder, load_config, yaml_text
from mnist_vae.sweeps.varied import experiment_of, settings_of
from mnist_vae.utils.errors import RunFolderError, first_line
from mnist_vae.utils.io import read_text

COMPARABLE_BY = ("nll_samples", "sample_count", "feature_classifier")  # what an evaluation was made with


class State(str, Enum):
    """State of a job."""

    complete = "complete"
    failed = "failed"  # or one of its files is damaged
    running = "running"
    unfinished = "unfinished"  # begun, and no longer running: killed, or stopped
    waiting = "waiting"  # planned, not begun


class Failure(NamedTuple):
    """Why a job failed: one sentence, the exception's name, and its traceback if there is one."""

    error: str
    kind: str
    traceback: str


class Dataset(NamedTuple):
    """What runs must have in common for their ELBOs to be comparable: the pixels, the kind of likelihood, and whether
    it is conditional on the label."""

    name: str
    binarize: str
    likelihood: str
    conditional: bool

    @property
    def title(self) -> str:
        """Such as `mnist, binarize dynamic, bernoulli likelihood`."""
        parts = [self.name, self.binarize and f"binarize {self.binarize}"]
        parts += [self.likelihood and f"{self.likelihood} likelihood", "conditional" if self.conditional else ""]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        name: its folder's path within the sweep; of a single run, the folder's own name.
        folder: its folder; the sweep's, if the job can't be read.
        overrides: `key=value` as they were given for it.
        settings: {key: value}, flat; a group such as `model` by the name of its choice. Of a job that has not begun,
            only what its overrides say.
        experiment: everything in its config but the seed, to be compared; None before it has begun.
        metrics: metrics.json, and what evaluation.json has beyond it; empty unless complete.
        rows: metrics.csv, one per epoch so far.
        failure: why it failed, if it did.
        outdated_evaluation: whether its evaluation.json is damaged or not of these metrics, and so left out.
    """

    name: str
    folder: Path
    overrides: list[str]
    state: State
    settings: dict[str, Any]
    experiment: str | None
    metrics: dict[str, Any]
    rows: list[dict[str, float]]
    failure: Failure | None
    outdated_evaluation: bool = False

    def number(self, metric: str) -> float:
        """A metric; NaN if the job does not have it as a number."""
        value = self.metrics.get(metric)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan

    @property
    def seconds(self) -> float:
        """Training time in seconds."""
        rows = (row.get("seconds", 0.0) for row in self.rows)
        seconds = sum(rows) if math.isnan(self.number("train_seconds")) else self.number("train_seconds")
        return seconds if math.isfinite(seconds) else 0.0

    @property
    def dataset(self) -> Dataset:
        """The data and likelihood within which its ELBO can be compared."""
        configured = self.settings.get("data.name", self.settings.get("data", "unknown data"))
        name = self.metrics.get("dataset", configured)
        binarize = self.metrics.get("binarize", self.settings.get("data.binarize", ""))
        conditional = str(self.settings.get("conditional", False)).lower() == "true"
        return Dataset(str(name), str(binarize), str(self.settings.get("likelihood", "")), conditional)


def read_job(top: Path, name: str, planned: list[str] | None) -> Job:
    """Read a job's folder. Nothing is raised: what can't be read makes it a failed job, with the reason.

    Args:
        top: the sweep's folder. A job's files are read only within it.
        name: the job's, "." if the sweep is this run alone.
        planned: its overrides, if the sweep's plan has it.
    """
    try:
        return _read_job(top, name, planned)
    except Exception as error:  # a stranger's or a damaged file can raise anything
        failure = Failure(first_line(error), type(error).__name__, "")
        overrides = planned or []
        return Job(name, top, overrides, State.failed, settings_of(None, overrides, {}), None, {}, [], failure)


def _read_job(top: Path, name: str, planned: list[str] | None) -> Job:
    run = RunFolder(top / name)
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise RunFolderError("its name is no path within the sweep's folder, so it is not read.")
    read = (run.path, run.config, run.hydra, _overrides_file(run), run.rows, run.metrics, run.evaluation, run.failure)
    for file in read:
        if not file.resolve().is_relative_to(top.resolve()):
            raise RunFolderError(f"{file} is a link to something outside the sweep's folder, so it is not read.")
    if run.complete and not run.config.exists():
        raise RunFolderError(f"{run.config} is missing.")
    config: Any = OmegaConf.to_container(load_config(run.config)) if run.config.exists() else None
    metrics = _checked(run.read_metrics(), run.metrics) if run.complete else {}
    evaluation = _read_evaluation(run, metrics) if run.complete and run.evaluation.exists() else {}
    failure = run.read_failure()
    overrides = _read_overrides(run, failure) if planned is None else planned
    parts = ("error", "type", "traceback")
    reported = None if failure is None else Failure(*(str(failure.get(part) or "") for part in parts))
    shown = run.path.resolve().name if name == "." else name
    state = _state(run, top / ".sweep" / "running" / name, failed=reported is not None)
    experiment = None if config is None else experiment_of(config)
    settings = settings_of(config, overrides, run.read_choices())
    outdated = evaluation is None
    metrics |= evaluation or {}
    return Job(shown, run.path, overrides, state, settings, experiment, metrics, run.read_rows(), reported, outdated)


def _checked(metrics: dict[str, Any], file: Path) -> dict[str, Any]:
    """The metrics, if they are flat and each number is one of 64 bits."""
    for name, value in metrics.items():
        if not isinstance(value, int | float | str | None) or (isinstance(value, int) and abs(value) >= 2**63):
            raise RunFolderError(f"{file} is damaged: {name} must be a number or a string.")
    return metrics


def _read_evaluation(run: RunFolder, metrics: dict[str, Any]) -> dict[str, Any] | None:
    """What evaluation.json has beyond the metrics; None if it is damaged, or was made beside other metrics, such as
    those before the run was given more epochs."""
    try:
        values = json.loads(read_text(run.evaluation))
        if values["run_test_elbo"] != metrics["test/elbo"]:
            return None
        measured = {
            name: value
            for name, value in values.items()
            if name.startswith(("test/", "train/")) and name not in metrics and isinstance(value, int | float)
        }
        return _checked(measured | {name: values[name] for name in COMPARABLE_BY if name in values}, run.evaluation)
    except Exception:  # a damaged file can raise anything
        return None


def _overrides_file(run: RunFolder) -> Path:
    return run.config.with_name("overrides.yaml")


def _read_overrides(run: RunFolder, failure: dict[str, Any] | None) -> list[str]:
    """The overrides as typed; if the run has not noted them, those of its failure."""
    file = _overrides_file(run)
    found = yaml.safe_load(yaml_text(file)) if file.exists() else (failure or {}).get("overrides")
    if not isinstance(found, list | None) or not all(isinstance(override, str) for override in found or []):
        raise RunFolderError(f"{file if file.exists() else run.failure} is damaged: the overrides are no list of text.")
    return found or []


def _state(run: RunFolder, mark: Path, failed: bool) -> State:
    if run.complete:
        return State.complete
    if mark.is_file() and _alive(mark):
        return State.running
    if failed:
        return State.failed
    return State.unfinished if run.config.exists() else State.waiting


def _alive(mark: Path) -> bool:
    """Whether the process that left the mark exists; assumed if it is on another machine."""
    try:
        left = json.loads(mark.read_text())
        if left["host"] == socket.gethostname():
            os.kill(int(left["process"]), 0)
    except ProcessLookupError:
        return False
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, OSError):
        pass
    return True
