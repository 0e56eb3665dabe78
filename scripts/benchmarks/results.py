"""What was measured, and what it was to be."""

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass
class Measured:
    """One quantity, measured several times.

    Attributes:
        values: a number per round; the rounds of one suite take turns.
        x: where it lies along the suite's axis, for a suite that has one.
    """

    name: str
    unit: str
    values: list[float]
    x: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def row(self) -> list[str]:
        """Its line in a table."""
        spread = [_number(value) for value in (self.median, min(self.values), max(self.values))]
        return [self.name if self.x is None else f"{self.name} {self.x:g}", *spread, self.unit]


@dataclass
class Comparison:
    """A quotient or difference, round by round, and its target; None for none."""

    name: str
    values: list[float]
    target: float | None = None
    wanted: Literal["at most", "at least"] = "at most"
    unit: str = "times"

    @classmethod
    def quotient(
        cls,
        name: str,
        above: Measured,
        below: Measured,
        target: float | None = None,
        wanted: Literal["at most", "at least"] = "at most",
    ) -> "Comparison":
        """`above` over `below`, each round by itself: what slows a round down slows both."""
        return cls(name, [a / b for a, b in zip(above.values, below.values, strict=True)], target, wanted)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median is as it was to be."""
        if self.target is None:
            return None
        return self.median <= self.target if self.wanted == "at most" else self.median >= self.target

    def row(self) -> list[str]:
        """Its line in a table."""
        spread = [_number(value) for value in (self.median, min(self.values), max(self.values))]
        aim = "" if self.target is None else f"{self.wanted} {self.target:g}"
        verdict = {None: "", True: "met", False: "NOT met"}[self.met]
        return [self.name, *spread, self.unit, aim, verdict]


@dataclass
class Results:
    """What a suite came to.

    Attributes:
        curves: (seconds, ELBO) along each training, of each seed.
    """

    suite: str
    measured: list[Measured] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    curves: dict[str, list[list[tuple[float, float]]]] = field(default_factory=dict)

    def table(self) -> str:
        """For the console."""
        rows = [[self.suite, "median", "min", "max", "", "target", ""]]
        rows += [measured.row() for measured in self.measured]
        rows += [comparison.row() for comparison in self.comparisons]
        rows = [row + [""] * (7 - len(row)) for row in rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        aligned = [str.ljust, str.rjust, str.rjust, str.rjust, str.ljust, str.ljust, str.ljust]
        lines = ["  ".join(a(cell, w) for a, cell, w in zip(aligned, row, widths, strict=True)) for row in rows]
        return "\n".join([*map(str.rstrip, lines), *(f"  {note}" for note in self.notes)])

    def record(self) -> dict[str, Any]:
        """For benchmark.json."""
        measured = [asdict(one) | {"median": one.median} for one in self.measured]
        comparisons = [asdict(one) | {"median": one.median, "met": one.met} for one in self.comparisons]
        found = {"suite": self.suite, "measured": measured, "comparisons": comparisons, "notes": self.notes}
        return found | ({"curves": self.curves} if self.curves else {})


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
