"""A sweep on the console: the best configurations, and how many jobs there are of each state."""

import textwrap
from collections import Counter
from collections.abc import Iterator

from mnist_vae.sweeps.ranking import Group
from mnist_vae.sweeps.report import tables
from mnist_vae.sweeps.results import Sweep, counts
from mnist_vae.sweeps.varied import SEED
from mnist_vae.utils.text import DASH, aligned, duration, plural, shortened, terminal_width

LONGEST, NAME, LONGEST_LINE = 40, 24, 400  # characters of a cell, of a run's name, and of a text
METRICS = 2  # that are shown at least
LISTED = 3  # runs set apart that are named


def overview(sweep: Sweep, limit: int = 10) -> str:
    """The best configurations of each group as a table, the runs set apart, and the jobs' states.

    No line is wider than the terminal; all runs and all their settings are in the report.
    """
    width = terminal_width()
    lines = [line for group in sweep.groups if group.configurations for line in _group(group, limit, width)]
    if names := [tables.described(job, group) for group in sweep.groups for job, _ in group.apart]:
        listed = "; ".join(shortened(name, LONGEST) for name in names[:LISTED])
        others = f"; and {len(names) - LISTED} more" if len(names) > LISTED else ""
        lines += _wrapped(f"{plural(len(names), 'run')} set apart, most likely diverged: {listed}{others}", width)
    return "\n".join([*lines, *_wrapped(tally(sweep), width)])


def _group(group: Group, limit: int, width: int) -> Iterator[str]:
    lines, left_out = _table(group, limit, width)
    yield from _wrapped(group.title, width)
    yield from lines
    if (more := len(group.configurations) - limit) > 0:
        yield f"   and {more} more, in report.html"
    if same := tables.constants(group):
        yield from _wrapped(f"All with {same}", width)
    if left_out:
        yield from _wrapped(left_out, width)
    yield from _wrapped(tables.how_ranked(group), width)


def _table(group: Group, limit: int, width: int) -> tuple[list[str], str]:
    """The lines of a table that fits the width, and what it leaves out: the last metrics, or else most settings."""
    table = tables.configurations(group)
    headings = ["" if heading == "rank" else heading for heading in table.headings]
    rows = [headings, *([cell.text for cell in row] for row in table.rows[:limit])]
    rows = [[shortened(text, LONGEST) for text in row] for row in rows]
    for shown in range(len(headings), len(headings) - len(tables.metrics_of(group)) + METRICS - 1, -1):
        lines = aligned([row[:shown] for row in rows], width)
        if len(lines) == len(rows):
            return lines, f"In report.html: {', '.join(headings[shown:])}" if headings[shown:] else ""
    return _compact(group, limit, width)


def _compact(group: Group, limit: int, width: int) -> tuple[list[str], str]:
    """The same of a group of many settings: of each run the ones that most others do not have."""
    usual, metrics = _usual(group), list(tables.metrics_of(group).items())[:METRICS]
    rows = [["" if group.monitor else "run", *(shortened(text, NAME) for _, text in metrics), "settings"]]
    for rank, configuration in enumerate(group.configurations[:limit], start=1):
        first = configuration.jobs[0]
        texts = {key: tables.setting(first, key).text for key in usual}
        name = str(rank) if group.monitor else shortened(first.name, NAME)
        unusual = ", ".join(f"{key}={text}" for key, text in texts.items() if text not in (usual[key], DASH))
        rows.append([name, *(tables.over_seeds(configuration, metric) for metric, _ in metrics), unusual])
    used = sum(2 + max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1])
    rows = [[*row[:-1], shortened(row[-1], max(NAME, width - used))] for row in rows]
    others = ", ".join(f"{key}={text}" for key, text in usual.items() if text not in ("", DASH))
    lines = aligned(rows, width, left=[len(metrics) + 1] if group.monitor else [0, len(metrics) + 1])
    note = "All settings and metrics are in report.html"
    return lines, f"{note}; where nothing else is said: {others}" if others else note


def _usual(group: Group) -> dict[str, str]:
    """The value that most configurations have of each setting that varies, or nothing; without the seed."""
    firsts = [configuration.jobs[0] for configuration in group.configurations]
    found = {}
    for key in tables.columns(group):
        if key != SEED:
            text, count = Counter(tables.setting(job, key).text for job in firsts).most_common(1)[0]
            found[key] = text if 2 * count > len(firsts) else ""
    return found


def tally(sweep: Sweep) -> str:
    """How many jobs there are, in which states, and how long they trained."""
    states = ", ".join(f"{count:,} {state.value}" for state, count in counts(sweep.jobs).items())
    return f"{plural(len(sweep.jobs), 'job')}: {states}; {duration(sum(job.seconds for job in sweep.jobs))} of training"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(shortened(text, LONGEST_LINE), width, break_on_hyphens=False)
