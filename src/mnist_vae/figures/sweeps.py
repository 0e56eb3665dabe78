"""Small multiples of a sweep: each metric as a function of each setting."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_vae.figures.colours import BLUE, INK
from mnist_vae.figures.style import DPI, FONT, TITLE_COLOUR, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Value = float | str  # of a setting; the values of one setting are either all numbers or all strings

FEW = 8  # maximum number of distinct numbers shown by a legend or individual ticks
WIDE = 20  # ratio of largest to smallest value above which the scale is logarithmic
MANY = 12  # number of distinct numbers above which means are taken over neighbouring ones
LARGEST = 1e100  # number that is drawn: with larger ones matplotlib's axes overflow
WIDTH = 7.2  # inches, of a printed page without its margins
MAX_LENGTH, MAX_NAME = 18, 40  # characters of a label, and of a setting's name


def by_setting(
    settings: Mapping[str, Sequence[Value]], metrics: Mapping[str, Sequence[float]], title: str = ""
) -> "Figure":
    """Small multiples with a row for each setting and a column for each metric.

    A panel shows every run as a point and the mean at each value; for settings with many distinct numbers, the mean of
    neighbouring ones. Means of numeric settings are joined by a line; those of strings, which have no order, are not,
    and are drawn only where they are of several runs.

    Args:
        settings: {name: one value per run}.
        metrics: {heading: one number per run}; NaN, and numbers beyond LARGEST, are omitted.
        title: title of the figure.
    """
    from matplotlib.figure import Figure

    width = min(WIDTH, 2.4 * len(metrics))
    figure = Figure(figsize=(width, 1.6 * len(settings) + 0.25), dpi=DPI, layout="constrained")
    panels = figure.subplots(len(settings), len(metrics), squeeze=False, sharey="col")
    scattered = scattered_settings(settings)
    for row, (name, values) in enumerate(settings.items()):
        for axis, (heading, numbers) in zip(panels[row], metrics.items(), strict=True):
            _panel(axis, values, drawable(numbers), name in scattered)
            axis.set_xlabel(abbreviate(name, MAX_LENGTH))
            style_axes(axis, heading if row == 0 else "")
            axis.tick_params(labelsize=FONT)
    figure.suptitle(escape(title), x=0.01, ha="left", fontsize=FONT, color=TITLE_COLOUR)
    return figure


def scattered_settings(settings: Mapping[str, Sequence[Value]]) -> set[str]:
    """The settings of which nearly every run has its own value, as in a random search; none if it is one alone."""
    found = {name for name, values in settings.items() if _mostly_once(values)}
    return found if len(found) > 1 else set()


def mean_line(values: Sequence[Value], numbers: np.ndarray, scattered: bool) -> list[tuple[Value, float]]:
    """The means that a panel shows: of numbers, at each value or over neighbouring ones; of names, where there are
    several runs.

    Args:
        values: a setting's value of each run.
        numbers: a metric of each run.
        scattered: take means over neighbouring values, since a mean at one value would be that of a single run.
    """
    if not is_numeric(values):
        return [(value, mean) for value, mean in means(values, numbers) if list(values).count(value) > 1]
    if scattered or len(set(values)) > MANY:
        return list(running_means(np.array(values, float), numbers))
    return means(values, numbers)


def means(values: Sequence[Value], numbers: np.ndarray) -> list[tuple[Value, float]]:
    """Mean of the finite numbers at each distinct value, as (value, mean).

    Values are in ascending order if they are numbers, else in order of occurrence. A value without finite numbers is
    omitted.
    """
    order = sorted(set(values)) if is_numeric(values) else list(dict.fromkeys(values))
    result = []
    for value in order:
        selected = numbers[np.array([other == value for other in values])]
        if np.isfinite(selected).any():
            result.append((value, float(selected[np.isfinite(selected)].mean())))
    return result


def running_means(
    values: Sequence[float] | np.ndarray, numbers: np.ndarray, parts: int = MANY // 2
) -> list[tuple[float, float]]:
    """Means (mean value, mean number) over `parts` equally large sets of neighbouring values, in ascending order."""
    points = np.array([values, numbers], float).T
    points = points[np.isfinite(points).all(axis=1)]
    points = points[np.argsort(points[:, 0], kind="stable")]
    sets = [part.mean(axis=0) for part in np.array_split(points, parts) if len(part)]
    return [(float(value), float(number)) for value, number in sets]


def is_numeric(values: Sequence[Value]) -> bool:
    """Return whether all values are numbers that can be drawn; False if there are none."""
    return bool(values) and all(isinstance(value, int | float) and abs(value) <= LARGEST for value in values)


def drawable(numbers: Sequence[float] | np.ndarray) -> np.ndarray:
    """The numbers as an array, NaN in place of those beyond LARGEST."""
    array = np.asarray(numbers, float)
    return np.where(np.abs(array) <= LARGEST, array, np.nan)


def is_wide(values: Sequence[Value]) -> bool:
    """Return whether the values are positive numbers with a ratio above WIDE, shown on a logarithmic scale."""
    return is_numeric(values) and min(values) > 0 and max(values) / min(values) > WIDE  # type: ignore[operator]


def _panel(axis: "Axes", values: Sequence[Value], numbers: np.ndarray, scattered: bool) -> None:
    """Draw the runs and their means; `scattered`: take means over neighbouring values."""

    distinct = list(dict.fromkeys(values))
    numeric = is_numeric(values)
    x = np.array(values, float) if numeric else np.array([distinct.index(value) for value in values], float)
    size = min(16, max(6, 1500 / max(1, len(values))))
    axis.scatter(x, numbers, s=size, color=BLUE, alpha=0.75, linewidths=0, zorder=2)
    axis.margins(0.08)
    line: list[Any] = mean_line(values, numbers, scattered)
    line_x = [value if numeric else distinct.index(value) for value, _ in line]
    style: dict[str, Any] = (
        {"marker": "o", "ms": 3.5, "linewidth": 1} if numeric else {"marker": "_", "ms": 18, "linewidth": 0, "mew": 1.6}
    )
    axis.plot(line_x, [mean for _, mean in line], color=INK, zorder=3, gid="mean", **style)
    if numeric:
        _number_scale(axis, sorted(set(x)))
    else:
        _name_scale(axis, [abbreviate(value) for value in distinct])


def _mostly_once(values: Sequence[Value]) -> bool:
    """Return whether most values occur in one run only."""
    return len(set(values)) > FEW // 2 and 2 * len(set(values)) > len(values)


def _number_scale(axis: "Axes", values: list[float]) -> None:
    """Set the scale and ticks of the x axis for distinct numbers in ascending order."""
    from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

    if is_wide(values):
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        positions = np.log10(values)
    else:
        positions = np.array(values)
        axis.xaxis.set_major_locator(MaxNLocator(3))
    span = max(positions[-1] - positions[0], 1e-12)
    if len(values) <= FEW and (len(values) == 1 or np.diff(positions).min() > 0.2 * span):
        axis.set_xticks(values, [f"{value:g}" for value in values])
        axis.xaxis.set_minor_locator(NullLocator())


def _name_scale(axis: "Axes", names: list[str]) -> None:
    """Set the ticks of the x axis for strings."""
    step = -(-len(names) // 12)  # with more than 12 names, only every second, third, … is labelled
    crowded = sum(map(len, names[::step])) > 30
    axis.set_xticks(range(0, len(names), step), names[::step], rotation=40 if crowded else 0)
    for label in axis.get_xticklabels():
        label.set(ha="right" if crowded else "center", rotation_mode="anchor")
    axis.set_xlim(-0.5, len(names) - 0.5)


def abbreviate(value: Value, limit: int = MAX_LENGTH) -> str:
    """Format a value as a label of at most `limit` characters for matplotlib."""
    return escape(short(value, limit))


def short(value: Value, limit: int = MAX_LENGTH) -> str:
    """Format a value as text of at most `limit` characters."""
    text = f"{value:g}" if isinstance(value, int | float) else value
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def escape(text: str) -> str:
    """Escape dollar signs, which matplotlib would interpret as formulas; replace lone surrogates, which it refuses."""
    return text.encode(errors="replace").decode().replace("$", r"\$")
