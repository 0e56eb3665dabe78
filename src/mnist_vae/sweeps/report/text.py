"""How numbers, times and links are written in a report."""

import math
import os
from pathlib import Path
from urllib.parse import quote

DASH = "\N{EN DASH}"  # for what is not known
MINUS = "\N{MINUS SIGN}"


def number(value: float, digits: int = 2) -> str:
    """With a real minus sign and thousands apart; a dash for NaN."""
    return DASH if math.isnan(value) else f"{value:,.{digits}f}".replace("-", MINUS)


def spread(mean: float, std: float, digits: int = 2) -> str:
    """`mean ± std`; of a single value, the mean alone."""
    return number(mean, digits) if math.isnan(std) else f"{number(mean, digits)} ± {number(std, digits)}"


def duration(seconds: float) -> str:
    """Such as 42 s, 3 min 20 s or 2 h 05 min; a dash for NaN."""
    if math.isnan(seconds):
        return DASH
    if seconds < 59.95:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left:02d} min" if hours else f"{minutes} min {rest:02d} s"


def link(path: Path, top: Path) -> str:
    """A relative address of `path` seen from a page in `top`, percent-encoded."""
    relative = os.path.relpath(path, top)
    return "./" if relative == "." else "./" + quote(os.fsencode(relative.replace(os.sep, "/")))


def plural(count: int, noun: str) -> str:
    """Such as `1 job` or `3 jobs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
