"""Many run folders read as one sweep: its jobs and their states, what was varied, and how the runs rank."""

import json
import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tqdm import tqdm

from mnist_vae.runs.folder import find_runs
from mnist_vae.sweeps.job_results import Dataset, Job, State, read_job
from mnist_vae.sweeps.varied import varied_keys
from mnist_vae.utils.errors import RunFolderError, first_line


@dataclass(frozen=True)
class SameButSeed:
    """Complete jobs that differ in their seed alone, the best first."""

    jobs: list[Job]

    def mean(self, metric: str) -> float:
        """Over seeds, of those that have the metric; NaN if none has."""
        values = self._values(metric)
        return statistics.fmean(values) if values else math.nan

    def std(self, metric: str) -> float:
        """The sample's standard deviation (n - 1) over seeds; NaN for fewer than two."""
        values = self._values(metric)
        return statistics.stdev(values) if len(values) > 1 else math.nan

    def _values(self, metric: str) -> list[float]:
        return [value for job in self.jobs if math.isfinite(value := job.number(metric))]


@dataclass(frozen=True)
class Group:
    """The complete jobs on the same data, which alone can be ranked against one another.

    Attributes:
        jobs: ranked by test/elbo, the highest first; those without a finite one come last, in the sweep's order.
        keys: the sweep's varied keys, without those that say which group this is.
    """

    dataset: Dataset
    jobs: list[Job]
    keys: list[str]

    @property
    def title(self) -> str:
        """Such as `mnist, binarize dynamic, bernoulli likelihood`."""
        name, binarize, likelihood, conditional = self.dataset
        parts = [name, binarize and f"binarize {binarize}", likelihood and f"{likelihood} likelihood"]
        parts.append("conditional" if conditional else "")
        return ", ".join(part for part in parts if part)

    @property
    def ranked(self) -> list[Job]:
        """Those jobs that have a rank: the first is the best."""
        return [job for job in self.jobs if math.isfinite(job.number("test/elbo"))]

    @cached_property
    def seeds(self) -> list[SameButSeed]:
        """The jobs, those together that differ in their seed alone; highest mean test/elbo first."""
        by_experiment: dict[str | None, dict[str, Job]] = {}
        for job in self.jobs:
            # The same run done twice is not a second seed.
            by_experiment.setdefault(job.experiment, {}).setdefault(str(job.settings.get("seed")), job)
        found = [SameButSeed(list(jobs.values())) for jobs in by_experiment.values()]
        return sorted(found, key=lambda same: _descending(same.mean("test/elbo")))


@dataclass(frozen=True)
class Sweep:
    """A folder of runs.

    Attributes:
        jobs: in the order of the sweep's plan, then in that of their names.
        keys: the settings that differ between jobs, in the order in which they were given.
    """

    folder: Path
    jobs: list[Job]
    keys: list[str]

    def of_state(self, state: State) -> list[Job]:
        """The jobs in that state."""
        return [job for job in self.jobs if job.state is state]

    @cached_property
    def groups(self) -> list[Group]:
        """The complete jobs by data, the largest group first; runs on different data are never ranked together."""
        found: dict[Dataset, list[Job]] = {}
        for job in self.of_state(State.complete):
            found.setdefault(job.dataset, []).append(job)
        keys = [key for key in self.keys if key not in ("data", "data.binarize", "likelihood", "conditional")]
        groups = [
            Group(dataset, sorted(jobs, key=lambda job: _descending(job.number("test/elbo"))), keys)
            for dataset, jobs in found.items()
        ]
        return sorted(groups, key=lambda group: -len(group.jobs))


def read_sweep(folder: str | Path) -> Sweep:
    """Read a sweep's folder, any folder of runs, or a single run's; at any time, also while it runs.

    A damaged file makes its job a failed one, with the reason, and does not stop the others.

    Raises:
        RunFolderError: there is no such folder, nothing in it, or its sweep.json is damaged.
    """
    top = Path(folder).expanduser()
    if not top.is_dir():
        raise RunFolderError(f"{folder}: there is no such folder.")
    plan = read_plan(top / "sweep.json")
    names = list(dict.fromkeys([*plan, *_found(top)]))
    if not names:
        raise RunFolderError(f"{folder}: there is no run in it; a run's folder has a file .hydra/config.yaml.")
    # The bar appears only when it takes long.
    bar = tqdm(names, desc="reading runs", unit="run", leave=False, delay=2, disable=None)
    jobs = [read_job(top, name, plan.get(name)) for name in bar]
    return Sweep(top, jobs, varied_keys([(job.settings, job.overrides, job.experiment) for job in jobs]))


def _found(top: Path) -> Iterator[str]:
    """The names of the folders in which something has begun."""
    try:
        runs = find_runs(str(top))
    except RunFolderError:
        runs = []
    failed = sorted(path.parent for path in top.rglob("failed.json") if path.is_file())
    for path in (*runs, *failed):
        yield path.relative_to(top).as_posix()


def read_plan(file: Path) -> dict[str, list[str]]:
    """What sweep.json says: each job's overrides, by the name of its folder; nothing if there is no such file.

    Raises:
        RunFolderError: it is damaged.
    """
    if not file.exists():
        return {}
    try:
        jobs = json.loads(file.read_text())["jobs"]
        return {str(name): [str(override) for override in overrides] for name, overrides in jobs.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise RunFolderError(
            f"{file} is damaged ({first_line(error)}); without that file, the runs that are there can be read."
        ) from error


def _descending(value: float) -> tuple[bool, float]:
    return (not math.isfinite(value), -value if math.isfinite(value) else 0.0)


def counts(jobs: Iterable[Job]) -> dict[State, int]:
    """How many jobs are in each state, without the states that none is in."""
    states = [job.state for job in jobs]
    return {state: states.count(state) for state in State if state in states}
