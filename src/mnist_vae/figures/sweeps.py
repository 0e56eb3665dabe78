"""Many runs in one figure: what each setting does to each metric."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_vae.figures.style import DPI, FONT, PALE, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Value = float | str  # of a setting: all of one setting's values are numbers, or none is

FEW = 8  # numbers told apart by a legend; more are told by a colour bar
WIDE = 20  # ratio from which values are shown on a logarithmic scale
MANY = 12  # numbers above which the mean is over neighbouring ones
LONGEST = 18  # letters of a name


def by_setting(
    settings: Mapping[str, Sequence[Value]], metrics: Mapping[str, Sequence[float]], title: str = ""
) -> "Figure":
    """Small multiples: a row for each setting, a column for each metric; every run a point, and the mean at each
    value, joined by a line where values are numbers; with many of them, the mean of neighbouring ones.

    Args:
        settings: {name: one value per run}.
        metrics: {heading: one number per run}; NaN is left out.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(metrics), 1.95 * len(settings) + 0.25), dpi=DPI, layout="constrained")
    panels = figure.subplots(len(settings), len(metrics), squeeze=False, sharey="col")
    # As a random search has it: no two runs alike in anything, so that one run at a value is no trend.
    scattered = sum(_mostly_once(values) for values in settings.values()) > 1
    for row, (name, values) in enumerate(settings.items()):
        for axis, (heading, numbers) in zip(panels[row], metrics.items(), strict=True):
            _effect(axis, values, np.asarray(numbers, float), scattered and _mostly_once(values))
            axis.set_xlabel(plain(name))
            tidy(axis, heading if row == 0 else "")
    figure.suptitle(plain(title), x=0.01, ha="left", fontsize=FONT, color=PALE)
    return figure


def means(values: Sequence[Value], numbers: np.ndarray) -> list[tuple[Value, float]]:
    """(value, mean of the finite numbers at it), for numbers in ascending order, else as they come."""
    order = sorted(set(values)) if is_numeric(values) else list(dict.fromkeys(values))
    found = []
    for value in order:
        here = numbers[np.array([other == value for other in values])]
        if np.isfinite(here).any():
            found.append((value, float(here[np.isfinite(here)].mean())))
    return found


def running_means(
    values: Sequence[float] | np.ndarray, numbers: np.ndarray, parts: int = MANY // 2
) -> list[tuple[float, float]]:
    """(mean value, mean number) of each of `parts` equally large sets of neighbouring values, in ascending order."""
    points = np.array([values, numbers], float).T
    points = points[np.isfinite(points).all(axis=1)]
    points = points[np.argsort(points[:, 0], kind="stable")]
    sets = [part.mean(axis=0) for part in np.array_split(points, parts) if len(part)]
    return [(float(value), float(number)) for value, number in sets]


def is_numeric(values: Sequence[Value]) -> bool:
    """Whether all values are finite numbers."""
    return bool(values) and all(isinstance(value, int | float) and math.isfinite(value) for value in values)


def is_wide(values: Sequence[Value]) -> bool:
    """Whether the values are positive numbers that need a logarithmic scale."""
    return is_numeric(values) and min(values) > 0 and max(values) / min(values) > WIDE  # type: ignore[operator]


def _effect(axis: "Axes", values: Sequence[Value], numbers: np.ndarray, scattered: bool) -> None:
    places = list(dict.fromkeys(values))
    numeric = is_numeric(values)
    x = np.array(values, float) if numeric else np.array([places.index(value) for value in values], float)
    size = min(14, max(4, 1500 / max(1, len(values))))
    axis.scatter(x, numbers, s=size, color="tab:blue", alpha=0.5, linewidths=0, zorder=2)
    line: list[Any] = (
        running_means(x, numbers) if numeric and (scattered or len(places) > MANY) else means(values, numbers)
    )
    where = [value if numeric else places.index(value) for value, _ in line]
    # Between two names there is nothing for a line to pass through.
    style: dict[str, Any] = (
        {"marker": "o", "ms": 3.5, "linewidth": 1} if numeric else {"marker": "_", "ms": 18, "linewidth": 0, "mew": 1.6}
    )
    axis.plot(where, [mean for _, mean in line], color="0.15", zorder=3, gid="mean", **style)
    if numeric:
        _number_scale(axis, sorted(set(x)))
    else:
        _name_scale(axis, [short(value) for value in places])


def _mostly_once(values: Sequence[Value]) -> bool:
    """Whether most values are those of one run only."""
    return len(set(values)) > FEW // 2 and 2 * len(set(values)) > len(values)


def _number_scale(axis: "Axes", values: list[float]) -> None:
    from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

    if is_wide(values):
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        places = np.log10(values)
    else:
        places = np.array(values)
        axis.xaxis.set_major_locator(MaxNLocator(5))
    span = max(places[-1] - places[0], 1e-12)
    if len(values) <= FEW and (len(values) == 1 or np.diff(places).min() > 0.12 * span):
        axis.set_xticks(values, [f"{value:g}" for value in values])
        axis.xaxis.set_minor_locator(NullLocator())


def _name_scale(axis: "Axes", names: list[str]) -> None:
    step = -(-len(names) // 12)  # with more names, only every second, third … is written
    crowded = sum(map(len, names[::step])) > 30
    axis.set_xticks(range(0, len(names), step), names[::step], rotation=40 if crowded else 0)
    for label in axis.get_xticklabels():
        label.set(ha="right" if crowded else "center", rotation_mode="anchor")
    axis.set_xlim(-0.5, len(names) - 0.5)


def short(value: Value) -> str:
    """A value as a label."""
    text = f"{value:g}" if isinstance(value, int | float) else plain(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def plain(text: str) -> str:
    """Text that matplotlib shows as it is."""
    return text.replace("$", r"\$")  # matplotlib would read formulas
