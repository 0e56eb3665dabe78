"""The report's tables, as text: of runs, of configurations, of the runs set apart, of the jobs not complete."""

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mnist_vae.sweeps.job_results import Job, State
from mnist_vae.sweeps.ranking import TEST, VALIDATION, Configuration, Group
from mnist_vae.sweeps.results import Sweep
from mnist_vae.sweeps.varied import SEED, written
from mnist_vae.utils.text import DASH, WIDEST, duration, link, number, shortened, spread

METRICS = {
    VALIDATION: "val ELBO",
    TEST: "test ELBO",
    "test/reconstruction": "reconstruction",
    "test/kl": "KL",
    "test/active_units": "active units",
    "test/nll": "NLL",
    "nll_samples": "NLL samples",  # of the NLL, which decreases with them
    "test/frechet_distance": "Fréchet distance",
    "test/precision": "precision",
    "test/recall": "recall",
}
WHOLE = {"test/active_units", "nll_samples", "epochs", "parameters"}  # metrics that are counts
LONGEST_NAME = 200  # characters
MOST_FIGURES = 40  # of a run that are linked to
DIGITS = 4  # of a setting that is a number: a random search draws more than anybody reads


class Cell(NamedTuple):
    """What a table shows, and by what it is sorted: a number, or else its text.

    Attributes:
        links: {text: address}, shown instead of the text.
        figures: {text: address}, shown on demand.
    """

    text: str
    value: float | None = None
    links: dict[str, str] | None = None
    figures: dict[str, str] | None = None

    @property
    def key(self) -> str:
        """The sort key as an attribute: empty for what is not known."""
        if self.value is None:
            return "" if self.text == DASH else self.text
        return "" if math.isnan(self.value) else repr(self.value)


@dataclass
class Table:
    """A heading per column, and rows of cells.

    Attributes:
        anchors: an identifier of each row within the page; empty where nothing links to a row.
    """

    headings: list[str]
    rows: list[list[Cell]] = field(default_factory=list)
    anchors: list[str] = field(default_factory=list)

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers."""
        columns = zip(*self.rows, strict=True)
        return [any(cell.value is not None for cell in column) for column in columns]


def metrics_of(group: Group) -> dict[str, str]:
    """The metrics in a group's tables that a run of it has, with their headings: first the one that ranks."""
    first = {group.monitor: group.monitor} if group.monitor else {}
    known = {name for job in group.jobs for name in job.metrics}
    return {name: text for name, text in (first | METRICS).items() if name in known}


def how_ranked(group: Group) -> str:
    """By what a group is ranked, or why it is not; one sentence."""
    if not group.monitor:
        return f"No run is called best: {group.unranked}."
    metric = f"mean {group.monitor} over seeds" if group.several_seeds else group.monitor
    order = "higher" if group.higher else "lower"
    return f"Ranked by {metric} ({order} is better), on validation images only; test metrics are for the record."


def columns(group: Group) -> list[str]:
    """The settings in which the runs of a group differ: a sweep's keys can be constant in one of its groups."""
    return [key for key in group.keys if len({_text(job, key) for job in group.jobs}) > 1]


def constants(group: Group) -> str:
    """The sweep's keys that are no column, with their values; empty if there are none."""
    shown = columns(group)
    found = (f"{key}={setting(group.jobs[0], key).text}" for key in group.keys if key not in shown)
    return ", ".join(text for text in found if not text.endswith(f"={DASH}"))


def runs(group: Group, top: Path) -> Table:
    """The runs of a group, those of the best configuration first."""
    metrics, keys = metrics_of(group), columns(group)
    names = [] if keys else ["run"]
    table = Table(["files", *names, *keys, *metrics.values(), "epochs", "parameters", "training"])
    for configuration in group.configurations:
        for job in configuration.jobs:
            row = [_files(job, top), *(Cell(shortened(job.name, LONGEST_NAME)) for _ in names)]
            row += [setting(job, key) for key in keys]
            row += [metric(job, name) for name in (*metrics, "epochs", "parameters")]
            row.append(Cell(duration(job.number("train_seconds")), job.number("train_seconds")))
            table.rows.append(row)
            table.anchors.append(anchor(job))
    return _with_ranks(table, group, [len(configuration.jobs) for configuration in group.configurations])


def configurations(group: Group) -> Table:
    """The configurations of a group, the best first: mean ± sample standard deviation over their seeds."""
    metrics = metrics_of(group)
    keys = [key for key in columns(group) if key != SEED]
    seeds = ["seeds"] if group.several_seeds else []
    table = Table([*(keys or ["run"]), *seeds, *metrics.values()])
    for configuration in group.configurations:
        first, count = configuration.jobs[0], len(configuration.seeds)
        of_all = f" of {count + configuration.lost}" if configuration.lost else ""
        name = "all seeds" if group.several_seeds else shortened(first.name, LONGEST_NAME)
        row = [setting(first, key) for key in keys] or [Cell(name)]
        row += [Cell(f"{count}{of_all}", count) for _ in seeds]
        row += [Cell(over_seeds(configuration, name), configuration.mean(name)) for name in metrics]
        table.rows.append(row)
    return _with_ranks(table, group, [1] * len(table.rows))


def _with_ranks(table: Table, group: Group, rows: list[int]) -> Table:
    """The table with a first column of ranks, if the group is ranked, for so many rows of each configuration."""
    if not group.monitor:
        return table
    ranks = [rank for rank, count in enumerate(rows, start=1) for _ in range(count)]
    return Table(
        ["rank", *table.headings],
        [[Cell(str(rank), rank), *row] for rank, row in zip(ranks, table.rows, strict=True)],
        table.anchors,
    )


def apart(sweep: Sweep) -> Table | None:
    """The runs that are set apart, with the reasons; None if there are none."""
    table = Table(["run", "why", "val ELBO", "test ELBO", "training", "files"])
    for group in sweep.groups:
        for job, why in group.apart:
            seconds = job.number("train_seconds")
            numbers = [metric(job, VALIDATION), metric(job, TEST), Cell(duration(seconds), seconds)]
            table.rows.append([Cell(described(job, group)), Cell(why), *numbers, _files(job, sweep.folder)])
    return table if table.rows else None


def described(job: Job, group: Group, with_seed: bool = True) -> str:
    """The settings of a run that vary; if none does, its name, or `all seeds` for the runs of all of them."""
    keys = [key for key in group.keys if key in job.settings and (with_seed or key != SEED)]
    settings = ", ".join(f"{key}={setting(job, key).text}" for key in keys)
    name = job.name if with_seed or not group.several_seeds else "all seeds"
    return shortened(settings or name, LONGEST_NAME)


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
        name = shortened(job.name, LONGEST_NAME)
        row = [Cell(name), Cell(job.state.value), done, Cell(number(elbo), elbo), time, _files(job, sweep.folder)]
        table.rows.append(row)
        table.anchors.append(anchor(job))
    return table if jobs else None


def setting(job: Job, key: str) -> Cell:
    """A setting's value; a dash where the job has no such setting."""
    if key not in job.settings:
        return Cell(DASH)
    value = job.settings[key]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number:
        return Cell(shortened(written(value, DIGITS), LONGEST_NAME))
    text = written(value, DIGITS)
    is_whole = key == SEED or len(text) <= WIDEST  # seeds are names
    return Cell(text if is_whole else f"{value:.{DIGITS}g}", float(value))


def _text(job: Job, key: str) -> str:
    return written(job.settings[key]) if key in job.settings else DASH


def metric(job: Job, name: str) -> Cell:
    """A metric of a run; a dash where it has none."""
    value = job.number(name)
    return Cell(number(value, 0 if name in WHOLE else 2), value)


def over_seeds(configuration: Configuration, name: str) -> str:
    """Mean ± standard deviation of a metric over a configuration's seeds; the number itself, if there is one."""
    mean, std = configuration.mean(name), configuration.std(name)
    digits = 2 if name not in WHOLE else 1 if std > 0 else 0  # NaN for a single seed
    return spread(mean, std, digits)


def anchor(job: Job) -> str:
    """The identifier of a job's row within the page."""
    return "run-" + hashlib.sha256(job.name.encode(errors="surrogatepass")).hexdigest()[:12]


def figures_of(job: Job, top: Path) -> dict[str, str]:
    """The addresses of a run's figures by their names, `results` first; none outside `top`, the sweep's folder."""
    folder = job.folder / "figures"
    if not folder.resolve().is_relative_to(top.resolve()):
        return {}
    files = sorted((*folder.glob("*.png"), *folder.glob("*.gif")), key=lambda path: (path.stem != "results", path.name))
    return {shortened(path.stem, LONGEST_NAME).replace("_", " "): link(path, top) for path in files[:MOST_FIGURES]}


def _files(job: Job, top: Path) -> Cell:
    links: dict[str, Any] = {}
    if job.folder.is_dir():
        links["folder"] = link(job.folder, top) + ("" if job.folder == top else "/")
    return Cell(job.name if links else DASH, None, links, figures_of(job, top))
