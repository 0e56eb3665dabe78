"""One job of a sweep, as read from its folder."""

import json
import math
import os
import socket
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from mnist_vae.runs.folder import RunFolder, load_config
from mnist_vae.sweeps.varied import experiment_of, settings_of
from mnist_vae.utils.errors import RunFolderError, first_line


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


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        name: its folder's path within the sweep; of a single run, the folder's own name.
        overrides: `key=value` as they were given for it.
        settings: {key: value}, flat; a group such as `model` by the name of its choice. Of a job that has not begun,
            only what its overrides say.
        experiment: everything in its config but the seed, to be compared; None before it has begun.
        metrics: metrics.json; empty unless complete.
        rows: metrics.csv, one per epoch so far.
        failure: why it failed, if it did.
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

    def number(self, metric: str) -> float:
        """A metric; NaN if the job does not have it as a number."""
        value = self.metrics.get(metric)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan

    @property
    def seconds(self) -> float:
        """Training time in seconds."""
        seconds = self.number("train_seconds")
        return sum(row.get("seconds", 0) for row in self.rows) if math.isnan(seconds) else seconds

    @property
    def dataset(self) -> Dataset:
        """The data and likelihood within which its ELBO can be compared."""
        name = self.metrics.get("dataset", self.settings.get("data", "unknown data"))
        binarize = self.metrics.get("binarize", self.settings.get("data.binarize", ""))
        conditional = str(self.settings.get("conditional", False)).lower() == "true"
        return Dataset(str(name), str(binarize), str(self.settings.get("likelihood", "")), conditional)


def read_job(top: Path, name: str, planned: list[str] | None) -> Job:
    """Read a job's folder. Nothing is raised: a damaged file makes it a failed job.

    Args:
        top: the sweep's folder.
        name: the job's, "." if the sweep is this run alone.
        planned: its overrides, if the sweep's plan has it.
    """
    run = RunFolder(top / name)
    damage: list[RunFolderError] = []

    def read(part: Any, absent: Any) -> Any:
        try:
            return part()
        except (RunFolderError, OSError) as error:
            damage.append(RunFolderError(first_line(error)))
            return absent

    config = read(lambda: load_config(run.config), None) if run.config.exists() else None
    metrics = read(run.read_metrics, {}) if run.complete else {}
    rows = read(run.read_rows, [])
    overrides = planned if planned is not None else read(lambda: _read_overrides(run), [])
    failure = read(run.read_failure, None)
    if damage:
        failure = {"error": damage[0], "type": RunFolderError.__name__}
    reported = failure and Failure(*(str(failure.get(part) or "") for part in ("error", "type", "traceback")))
    shown = run.path.resolve().name if name == "." else name
    state = _state(run, top / ".sweep" / "running" / name, bool(damage), reported is not None)
    experiment = None if config is None else experiment_of(config)
    settings = settings_of(config, overrides, run.read_choices())
    return Job(shown, run.path, overrides, state, settings, experiment, metrics, rows, reported)


def _read_overrides(run: RunFolder) -> list[str]:
    """The overrides as typed; none if they can't be read, since the config holds their effect."""
    import yaml

    try:
        overrides = yaml.safe_load(run.config.with_name("overrides.yaml").read_text())
        return [str(override) for override in overrides or []]
    except (OSError, ValueError, TypeError, yaml.YAMLError):
        failure = run.read_failure() or {}
        return [str(override) for override in failure.get("overrides") or []]


def _state(run: RunFolder, mark: Path, damaged: bool, failed: bool) -> State:
    if damaged:
        return State.failed
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
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        pass
    return True
