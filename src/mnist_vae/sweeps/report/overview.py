"""A sweep on the console: the best configurations, and how many jobs there are of each state."""

from mnist_vae.sweeps.report import tables
from mnist_vae.sweeps.results import Sweep, counts
from mnist_vae.utils.text import duration, plural, shortened

LONGEST, LONGEST_LINE = 40, 200  # characters of a cell, and of a line of text
LISTED = 3  # runs set apart that are named


def overview(sweep: Sweep, limit: int = 10) -> str:
    """The best configurations of each group as a table, the runs set apart, and the jobs' states."""
    parts = []
    for group in sweep.groups:
        if group.configurations:
            table = tables.configurations(group)
            headings = ["" if heading == "rank" else heading for heading in table.headings]
            rows = [headings, *([cell.text for cell in row] for row in table.rows[:limit])]
            more = len(table.rows) - limit
            left_out = [f"   and {more} more"] if more > 0 else []
            title, how_ranked = (shortened(text, LONGEST_LINE) for text in (group.title, tables.how_ranked(group)))
            parts += [title, *_aligned(rows), *left_out, how_ranked]
    if names := [tables.described(job, group) for group in sweep.groups for job, _ in group.apart]:
        listed = "; ".join(shortened(name, LONGEST) for name in names[:LISTED])
        others = f"; and {len(names) - LISTED} more" if len(names) > LISTED else ""
        parts.append(f"{plural(len(names), 'run')} set apart, most likely diverged: {listed}{others}")
    return "\n".join([*parts, tally(sweep)])


def tally(sweep: Sweep) -> str:
    """How many jobs there are, in which states, and how long they trained."""
    states = ", ".join(f"{count:,} {state.value}" for state, count in counts(sweep.jobs).items())
    return f"{plural(len(sweep.jobs), 'job')}: {states}; {duration(sum(job.seconds for job in sweep.jobs))} of training"


def _aligned(rows: list[list[str]]) -> list[str]:
    rows = [[shortened(text, LONGEST) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.rjust, row, widths)).rstrip() for row in rows]
