"""Many run folders read as one sweep: its jobs and their states, what was varied, and which can be compared."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from mnist_vae.runs.folder import find_runs
from mnist_vae.sweeps.job_results import Dataset, Job, State, read_job
from mnist_vae.sweeps.ranking import Group, group
from mnist_vae.sweeps.varied import varied_keys
from mnist_vae.utils.errors import RunFolderError, first_line
from mnist_vae.utils.io import read_text

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, repr=False)
class Sweep:
    """A folder of runs.

    Attributes:
        jobs: in the order of the sweep's plan, then in that of their names.
        keys: the settings that differ between jobs, in the order in which they were given.
    """

    folder: Path
    jobs: list[Job]
    keys: list[str]

    def __repr__(self) -> str:
        states = ", ".join(f"{count} {state.value}" for state, count in counts(self.jobs).items())
        return f"<sweep {self.folder}: {states}; {', '.join(self.keys) or 'nothing'} varied>"

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row per job: its state, the rank of its configuration, its settings that vary or were given, all its
        metrics, and its folder."""
        from mnist_vae.sweeps.frame import jobs_frame

        return jobs_frame(self)

    def history(self) -> "pandas.DataFrame":
        """The learning curves in long form: a row per job, epoch and metric, with the job's settings that vary."""
        from mnist_vae.sweeps.frame import history_frame

        return history_frame(self)

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
        failed = self.of_state(State.failed)
        groups = [group(dataset, jobs, keys, failed) for dataset, jobs in found.items()]
        return sorted(groups, key=lambda group: -len(found[group.dataset]))


def read_sweep(folder: str | Path) -> Sweep:
    """Read a sweep's folder, any folder of runs, or a single run's; at any time, also while it runs.

    A file that can't be read makes its job a failed one, with the reason, and does not stop the others. Nothing outside
    the folder is read.

    Raises:
        RunFolderError: there is no such folder, nothing in it, or its sweep.json is damaged.
    """
    top = Path(folder).expanduser().absolute()
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
        jobs = json.loads(read_text(file))["jobs"]
        listed = {name: overrides if isinstance(overrides, list) else [] for name, overrides in jobs.items()}
        return {name: [str(override) for override in overrides] for name, overrides in listed.items()}
    except Exception as error:  # a damaged file can raise anything
        raise RunFolderError(
            f"{file} is damaged ({first_line(error)}); without that file, the runs that are there can be read."
        ) from error


def counts(jobs: Iterable[Job]) -> dict[State, int]:
    """How many jobs are in each state, without the states that none is in."""
    states = [job.state for job in jobs]
    return {state: states.count(state) for state in State if state in states}
