"""Learning curves of the runs of a sweep."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_vae.figures.palette import colouring, draw_key
from mnist_vae.figures.style import DPI, FONT, style_axes
from mnist_vae.figures.sweeps import WIDTH, Value, abbreviate, drawable, escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = tuple[Sequence[float], Sequence[float]]  # epochs, and a metric after each
HEADING = 60  # characters


def learning_curves(
    curves: Sequence[Curve], metric: str, values: Sequence[Value] = (), name: str = "", title: str = ""
) -> "Figure":
    """A metric over epochs, a line per run.

    Args:
        curves: one per run; numbers that are NaN or beyond LARGEST are omitted.
        metric: its name.
        values: value of the setting `name` of each run, by which the lines are coloured; empty for one colour.
        name: name of the setting.
        title: title of the figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(WIDTH, 3.2), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    colours = colouring(values if values else [""] * len(curves))
    for (epochs, numbers), colour in zip(curves, colours.colours, strict=True):
        points = np.stack([drawable(epochs), drawable(numbers)], axis=1)
        points = points[np.isfinite(points).all(axis=1)]
        style: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(points) == 1 else {}
        axis.plot(*points.T, color=colour, linewidth=1.1, alpha=0.85, gid="curve", **style)
    draw_key(axis, colours, name, marker="")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.margins(0.04)
    axis.set(xlabel="epoch", ylabel=abbreviate(metric, HEADING))
    style_axes(axis, escape(title))
    axis.tick_params(labelsize=FONT)
    return figure
