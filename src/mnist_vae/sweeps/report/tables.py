"""The report's tables: of text for the page, of values for summary.csv, and the short one for the console."""

import csv
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mnist_vae.config.overrides import experiment_overrides
from mnist_vae.sweeps.job_results import Job, State
from mnist_vae.sweeps.report.text import DASH, duration, link, number, plural, spread
from mnist_vae.sweeps.results import Group, SameButSeed, Sweep, counts
from mnist_vae.sweeps.varied import SEED, written

METRICS = {
    "test/elbo": "test ELBO",
    "test/reconstruction": "reconstruction",
    "test/kl": "KL",
    "test/active_units": "active units",
    "val/elbo": "val ELBO",
}
WHOLE = {"test/active_units", "epochs", "parameters"}  # metrics that are counts
DIGITS = 4  # of a setting that is a number: a random search draws more than anybody reads


class Cell(NamedTuple):
    """What a table shows, and by what it is sorted: a number, or else its text.

    Attributes:
        links: {text: address}, shown instead of the text.
    """

    text: str
    value: float | None = None
    links: dict[str, str] | None = None

    @property
    def key(self) -> str:
        """The sort key as an attribute: empty for what is not known."""
        if self.value is None:
            return "" if self.text == DASH else self.text
        return "" if math.isnan(self.value) else repr(self.value)


@dataclass
class Table:
    """A heading per column, and rows of cells."""

    headings: list[str]
    rows: list[list[Cell]] = field(default_factory=list)

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers."""
        columns = zip(*self.rows, strict=True)
        return [any(cell.value is not None for cell in column) for column in columns]


def ranking(group: Group, top: Path) -> Table:
    """The runs of a group, the best first."""
    names = [] if group.keys else ["run"]
    rest = ["epochs", "parameters", "training"]
    table = Table(["rank", "files", *names, *group.keys, *METRICS.values(), *rest])
    ranks = {job.name: float(rank) for rank, job in enumerate(group.ranked, start=1)}
    for job in group.jobs:
        rank = ranks.get(job.name, math.nan)
        row = [Cell(number(rank, 0), rank), _files(job, top), *(Cell(job.name) for _ in names)]
        row += [setting(job, key) for key in group.keys]
        row += [_metric(job, name) for name in (*METRICS, "epochs", "parameters")]
        row.append(Cell(duration(job.number("train_seconds")), job.number("train_seconds")))
        table.rows.append(row)
    return table


def seeds(group: Group) -> Table | None:
    """Mean ± sample standard deviation over seeds; None unless a setting was tried with several."""
    if max((len(same.jobs) for same in group.seeds), default=0) < 2:
        return None
    keys = [key for key in group.keys if key != SEED]
    table = Table([*(keys or ["run"]), "seeds", *METRICS.values()])
    for same in group.seeds:
        row = [setting(same.jobs[0], key) for key in keys] or [Cell("all")]
        row += [Cell(str(len(same.jobs)), len(same.jobs)), *(_over_seeds(same, name) for name in METRICS)]
        table.rows.append(row)
    return table


def unfinished(sweep: Sweep) -> Table | None:
    """The jobs that run, that were stopped, and that wait; None if there are none."""
    states = (State.running, State.unfinished, State.waiting)
    jobs = [job for state in states for job in sweep.of_state(state)]
    table = Table(["job", "state", "epochs", "val ELBO", "trained for", "files"])
    for job in jobs:
        epochs, planned = len(job.rows), job.settings.get("max_epochs")
        elbo = job.rows[-1].get("val/elbo", math.nan) if job.rows else math.nan
        done = Cell(f"{epochs} of {written(planned)}" if planned is not None else str(epochs), epochs)
        time = Cell(duration(job.seconds) if job.rows else DASH, job.seconds)
        row = [Cell(job.name), Cell(job.state.value), done, Cell(number(elbo), elbo), time, _files(job, sweep.folder)]
        table.rows.append(row)
    return table if jobs else None


def setting(job: Job, key: str) -> Cell:
    """A setting's value; a dash where the job has no such setting."""
    if key not in job.settings:
        return Cell(DASH)
    value = job.settings[key]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(written(value, DIGITS), float(value) if is_number else None)


def summary_csv(sweep: Sweep) -> str:
    """A row per job: its name and state, its settings that vary or were given, all its metrics, and its error."""
    given = (text.partition("=")[0].lstrip("+~") for job in sweep.jobs for text in experiment_overrides(job.overrides))
    keys = list(dict.fromkeys([*sweep.keys, *given]))
    metrics = list(dict.fromkeys(name for job in sweep.jobs for name in job.metrics))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", "state", *keys, *metrics, "error"])
    for job in sweep.jobs:
        settings = [written(job.settings[key]) if key in job.settings else "" for key in keys]
        error = job.failure.error if job.failure and job.state is State.failed else ""
        writer.writerow([job.name, job.state.value, *settings, *(job.metrics.get(name, "") for name in metrics), error])
    return text.getvalue()


def overview(sweep: Sweep, limit: int = 10) -> str:
    """For the console: the best runs of each group as a table, and how many jobs there are of each state."""
    parts = []
    for group in sweep.groups:
        keys = group.keys or ["run"]
        rows = [["", *keys, "test ELBO", "reconstruction", "KL", "active units"]]
        for rank, job in enumerate(group.ranked[:limit], start=1):
            names = [setting(job, key).text for key in group.keys] or [job.name]
            rows.append([str(rank), *names, *(_metric(job, name).text for name in list(METRICS)[:4])])
        more = len(group.jobs) - (len(rows) - 1)
        parts.append("\n".join([group.title, *_aligned(rows), *([f"   and {more} more"] if more else [])]))
    return "\n".join([*parts, tally(sweep)])


def tally(sweep: Sweep) -> str:
    """How many jobs there are, in which states, and how long they trained."""
    states = ", ".join(f"{count:,} {state.value}" for state, count in counts(sweep.jobs).items())
    return f"{plural(len(sweep.jobs), 'job')}: {states}; {duration(sum(job.seconds for job in sweep.jobs))} of training"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.rjust, row, widths)).rstrip() for row in rows]


def _metric(job: Job, name: str) -> Cell:
    value = job.number(name)
    return Cell(number(value, 0 if name in WHOLE else 2), value)


def _over_seeds(same: SameButSeed, name: str) -> Cell:
    digits = 1 if name in WHOLE else 2
    return Cell(spread(same.mean(name), same.std(name), digits), same.mean(name))


def _files(job: Job, top: Path) -> Cell:
    links: dict[str, Any] = {}
    if job.folder.is_dir():
        links["folder"] = link(job.folder, top) + ("" if job.folder == top else "/")
    results = job.folder / "figures" / "results.png"
    if results.is_file():
        links["results"] = link(results, top)
    return Cell(job.name if links else DASH, None, links)
