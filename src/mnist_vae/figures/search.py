"""Figures of a search over hyperparameters."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnist_vae.figures.colours import BLUE, GREY, INK
from mnist_vae.figures.style import DPI, FONT, style_axes
from mnist_vae.figures.sweeps import MAX_NAME, WIDTH, abbreviate, drawable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def search_history(
    ended: Sequence[tuple[int, float]], stopped: Sequence[tuple[int, float]], higher: bool, metric: str
) -> "Figure":
    """The metric of each trial, and the best one so far.

    Args:
        ended: trials that ran to their end, as (number, metric), in ascending order.
        stopped: trials that were stopped early, with their last metric.
        higher: whether a higher metric is better.
        metric: its name.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(WIDTH, 3.0), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    if stopped:
        axis.plot(*_columns(stopped), "x", color=GREY, markersize=5, label="stopped early", gid="stopped")
    axis.plot(*_columns(ended), "o", color=BLUE, markersize=4.5, alpha=0.85, label="to the end", gid="ended")
    numbers, values = _columns(ended)
    axis.plot(numbers, best_so_far(values, higher), color=INK, drawstyle="steps-post", label="best so far", gid="best")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel="trial", ylabel=abbreviate(metric, MAX_NAME))
    axis.legend(fontsize=FONT, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    style_axes(axis, "")
    axis.tick_params(labelsize=FONT)
    return figure


def hyperparameter_importance(importances: Mapping[str, float]) -> "Figure":
    """A bar for each hyperparameter, the first one on top.

    Args:
        importances: {hyperparameter: share of the importance}.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 0.6 + 0.28 * len(importances)), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    places = range(len(importances))
    bars = axis.barh(places, list(importances.values()), color=BLUE, height=0.7)
    axis.bar_label(bars, [f"{share:.2f}" for share in importances.values()], padding=3, fontsize=FONT)
    axis.set_yticks(places, [abbreviate(name, MAX_NAME) for name in importances])
    axis.invert_yaxis()
    axis.margins(x=0.1)
    axis.set(xlabel="share of the importance")
    style_axes(axis, "")
    axis.tick_params(labelsize=FONT)
    return figure


def best_so_far(values: Sequence[float] | np.ndarray, higher: bool) -> np.ndarray:
    """The best of all values up to each."""
    return (np.fmax if higher else np.fmin).accumulate(np.asarray(values, float))


def _columns(points: Sequence[tuple[int, float]]) -> tuple[list[int], np.ndarray]:
    return [number for number, _ in points], drawable([value for _, value in points])
