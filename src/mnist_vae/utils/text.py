"""How numbers, times, links and text of strangers are written for people."""

import math
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

DASH = "\N{EN DASH}"  # for what is not known
MINUS = "\N{MINUS SIGN}"
SCORES = {"val/elbo": "val ELBO", "test/elbo": "test ELBO"}
WIDEST = 12  # characters of a number
NO_TERMINAL = 120  # columns of text that is written to a file or a pipe


def number(value: float, digits: int = 2) -> str:
    """With a real minus sign and thousands apart, in scientific notation if it would be too wide; a dash for NaN."""
    if math.isnan(value):
        return DASH
    text = f"{value:,.{digits}f}"
    return (text if len(text) <= WIDEST else f"{value:.3e}").replace("-", MINUS)


def scores(metrics: Mapping[str, Any]) -> str:
    """The validation and test ELBO of a run's metrics, such as `val ELBO −100.123, test ELBO −99.456`.

    Raises:
        ValueError, TypeError: one of them is no number.
    """
    return ", ".join(f"{text} {number(float(metrics[name]), 3)}" for name, text in SCORES.items() if name in metrics)


def shortened(text: str, limit: int) -> str:
    """One line of printable text, abbreviated: a name or an error in a folder of runs can be anything."""
    line = "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def spread(mean: float, std: float, digits: int = 2) -> str:
    """`mean ± std`; of a single value, the mean alone."""
    return number(mean, digits) if math.isnan(std) else f"{number(mean, digits)} ± {number(std, digits)}"


def duration(seconds: float) -> str:
    """Such as 42 s, 3 min 20 s or 2 h 05 min; a dash for NaN."""
    if not math.isfinite(seconds):
        return DASH
    if seconds < 59.95:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{number(hours, 0)} h {left:02d} min" if hours else f"{minutes} min {rest:02d} s"


def link(path: Path, top: Path) -> str:
    """A relative address of `path` seen from a page in `top`, percent-encoded."""
    relative = os.path.relpath(path, top)
    return "./" if relative == "." else "./" + quote(os.fsencode(relative.replace(os.sep, "/")))


def plural(count: int, noun: str) -> str:
    """Such as `1 job` or `3 jobs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def terminal_width() -> int:
    """The columns of the terminal; `NO_TERMINAL` where there is none."""
    return shutil.get_terminal_size((NO_TERMINAL, 24)).columns


def aligned(rows: Sequence[Sequence[str]], width: int, left: Collection[int] = ()) -> list[str]:
    """The lines of a table whose first row has the headings.

    Columns that do not fit beside the others follow in a block below, which has the first column again.

    Args:
        width: of a line, in characters.
        left: columns that are aligned left; the others are numbers.
    """
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    blocks = [[0]]
    used = first
    for column, needed in enumerate(others, start=1):
        if len(blocks[-1]) > 1 and used + 2 + needed > width:
            blocks.append([0])
            used = first
        blocks[-1].append(column)
        used += 2 + needed
    widths = [first, *others]
    lines = []
    for place, block in enumerate(blocks):
        lines += [""] if place else []
        for row in rows:
            cells = [row[at].ljust(widths[at]) if at in left else row[at].rjust(widths[at]) for at in block]
            lines.append("  ".join(cells).rstrip())
    return lines
