"""benchmark.png: the comparisons beside their targets, and costs as sizes grow. Of suite `quality`: progress.py."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.results import Comparison, Measured, Results
from mnist_vae.figures.colours import BLUE, RED
from mnist_vae.figures.style import DPI, FONT, TITLE_COLOUR, style_axes

OURS, OTHERS, AIM = BLUE, "0.72", RED


def picture(suites: list[Results], title: str) -> Figure:
    """A panel of bars for each suite, and a panel for each axis of `scaling`."""
    bars = [suite for suite in suites if suite.suite != "scaling"]
    axes = {m.name: m.unit for suite in suites if suite.suite == "scaling" for m in suite.measured}
    heights = [max(1, len(suite.measured) + len(suite.comparisons)) for suite in bars]
    rows = [*heights, *([5] if axes else [])]
    figure = Figure(figsize=(9, 0.27 * sum(rows) + 0.5 * len(rows) + 0.4), dpi=DPI, layout="constrained")
    parts = figure.subfigures(len(rows), 1, height_ratios=[row + 1.5 for row in rows], squeeze=False)[:, 0]
    for part, suite in zip(parts, bars, strict=False):
        left, right = part.subplots(1, 2)
        _quantities(left, suite)
        _comparisons(right, suite.comparisons)
    if axes:
        panels = parts[-1].subplots(1, len(axes), squeeze=False)[0]
        points = [m for suite in suites if suite.suite == "scaling" for m in suite.measured]
        for axis, (name, unit) in zip(panels, axes.items(), strict=True):
            _growth(axis, [m for m in points if m.name == name], name, unit)
    figure.suptitle(title, x=0.01, ha="left", fontsize=FONT, color=TITLE_COLOUR)
    return figure


def _quantities(axis: Axes, suite: Results) -> None:
    units = list(dict.fromkeys(m.unit for m in suite.measured))
    unit = units[0] if units else ""
    shown = [m for m in suite.measured if m.unit == unit]
    places = np.arange(len(shown))[::-1]
    medians = [m.median for m in shown]
    colours = [OURS if _is_ours(m.name) else OTHERS for m in shown]
    axis.barh(
        places, medians, xerr=_ranges(shown), color=colours, height=0.7, error_kw={"lw": 0.8, "ecolor": TITLE_COLOUR}
    )
    axis.set_yticks(places, [m.name for m in shown])
    style_axes(axis, f"{suite.suite}, {unit}")


def _comparisons(axis: Axes, comparisons: list[Comparison]) -> None:
    if not comparisons:
        axis.axis("off")
        return
    places = np.arange(len(comparisons))[::-1]
    axis.barh(places, [c.median for c in comparisons], color=OURS, height=0.7)
    for place, one in zip(places, comparisons, strict=True):
        if one.target is not None:
            axis.plot([one.target] * 2, [place - 0.45, place + 0.45], color=AIM, lw=1.5)
            axis.plot(one.target, place, marker="<" if one.wanted == "at most" else ">", color=AIM, ms=4)
    axis.set_yticks(places, [c.name if c.unit == "times" else f"{c.name}, {c.unit}" for c in comparisons])
    style_axes(axis, "compared; the mark: the target")


def _growth(axis: Axes, points: list[Measured], name: str, unit: str) -> None:
    """The median of all rounds at each size, and their range; no line, which would look like a trend."""
    places, medians = [m.x or 0 for m in points], [m.median for m in points]
    axis.errorbar(places, medians, yerr=_ranges(points), fmt="o", color=OURS, ms=3, lw=1, capsize=2)
    axis.set_xscale("log", base=2)
    axis.set_xticks(places, [f"{place:g}" for place in places])
    axis.minorticks_off()
    axis.set_ylim(0, 1.1 * max(max(m.values) for m in points))
    axis.margins(x=0.1)
    axis.set_xlabel(name)
    style_axes(axis, unit)


def _ranges(measured: list[Measured]) -> list[list[float]]:
    """How far the rounds reach below each median, and above it."""
    return [[m.median - min(m.values) for m in measured], [max(m.values) - m.median for m in measured]]


def _is_ours(name: str) -> bool:
    return (
        name == "ours"
        or ": ours" in name
        or "run" in name
        or "train.py" in name
        or name.startswith(("--", "one command", "first"))
    )
