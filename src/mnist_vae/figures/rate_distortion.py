"""Rate-distortion plane of the runs of a sweep."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_vae.figures.colours import INK
from mnist_vae.figures.palette import colouring, draw_key
from mnist_vae.figures.style import DPI, FONT, style_axes
from mnist_vae.figures.sweeps import Value, abbreviate, drawable, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ISO_LINES = 7
MOST_LABELS = 40  # values of beta at points
SIDES = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y]  # of a point, to the right and above


def rate_distortion(
    rate: Sequence[float],
    distortion: Sequence[float],
    values: Sequence[Value] = (),
    name: str = "",
    best: int | None = None,
    title: str = "",
    curves: Sequence[Sequence[int]] = (),
    free: Sequence[int] = (),
    betas: Sequence[Value] = (),
) -> "Figure":
    """Scatter plot of runs in the rate-distortion plane: Alemi et al. (2018), "Fixing a Broken ELBO".

    Straight lines of equal ELBO = -(rate + distortion) are labelled by their ELBO.

    Args:
        rate: KL term of each run in nats. Runs whose rate or distortion is NaN or beyond LARGEST are omitted.
        distortion: reconstruction term of each run in nats.
        values: value of the setting `name` of each run, by which the points are coloured; empty for one colour.
        name: name of the setting.
        best: index of the run that is marked by a circle.
        title: title of the figure.
        curves: sequences of indices of runs that are joined by a line.
        free: indices of runs that are marked as trained with beta = 1, on whose rate the objective puts no preference.
        betas: beta of each run, written at the points of the curves; empty for none.
    """
    from matplotlib.figure import Figure

    points = np.stack([drawable(rate), drawable(distortion)], axis=1)
    finite = np.isfinite(points).all(axis=1)
    figure = Figure(figsize=(4.4, 3.6), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    if finite.any():
        x, y = points[finite].T
        axis.set(xlim=padded(x), ylim=padded(y))
        for curve in curves:
            axis.plot(*points[[run for run in curve if finite[run]]].T, color="0.6", linewidth=1, zorder=2, gid="curve")
        sides = label_sides(points, curves) if betas else {}
        for run, side in sides.items():
            label_point(axis, abbreviate(betas[run]), points[run], side)
        marked = [run for run in free if finite[run]]
        if marked:
            style: dict[str, Any] = {"mfc": "none", "mec": INK, "mew": 1, "zorder": 4, "gid": "free"}
            axis.plot(*points[marked].T, "D", ms=9, label="β = 1", **style)
        if sides:
            axis.plot([], [], color="0.6", linewidth=1, label="numbers: β")
        if marked or sides:
            # As a separate artist: the axes keep only the latest legend, which is that of the colours.
            axis.add_artist(axis.legend(loc="upper right", fontsize=FONT, frameon=False))
        colours = colouring([values[run] if values else "" for run, kept in enumerate(finite) if kept])
        size = min(36, max(10, 4000 / len(x)))
        axis.scatter(x, y, c=colours.colours, s=size, alpha=0.85, edgecolors="white", linewidths=0.4, zorder=3)
        draw_key(axis, colours, name)
        if best is not None and finite[best]:
            axis.plot(*points[best], "o", ms=11, mfc="none", mec="black", mew=1.2, gid="best", zorder=4)
        figure.draw_without_rendering()  # fixes the axes' shape, by which the lines' labels are rotated
        _iso_elbo(axis, *_occupied(points[finite], points, sides).T)
    axis.set(xlabel="rate: KL, nats per image", ylabel="distortion: reconstruction, nats per image")
    style_axes(axis, escape(title))
    axis.tick_params(labelsize=FONT)
    return figure


def label_sides(points: np.ndarray, curves: Sequence[Sequence[int]]) -> dict[int, tuple[int, int]]:
    """On which side of each point of the curves its label is furthest from all points, lines and other labels.

    Args:
        points: all points, (points, 2); those that are not finite get no label.
        curves: indices of points that are joined by a line.

    Returns:
        {index: side, one of `SIDES`}; nothing if there are too many points for labels to be read.
    """
    finite = np.isfinite(points).all(axis=1)
    kept = [[run for run in curve if finite[run]] for curve in curves]
    labelled = list(dict.fromkeys(run for curve in kept for run in curve))
    if not labelled or len(labelled) > MOST_LABELS:
        return {}
    low, high = points[finite].min(axis=0), points[finite].max(axis=0)
    places = (points - low) / np.maximum(high - low, 1e-12)
    lines = [
        places[start] + share * (places[end] - places[start])
        for curve in kept
        for start, end in pairwise(curve)
        for share in np.linspace(0, 1, 20)
    ]
    occupied = np.array([*places[finite], *lines])
    sides = {}
    for run in labelled:
        candidates = places[run] + np.array(SIDES) * [0.06, 0.05]
        rooms = np.linalg.norm(candidates[:, None] - occupied, axis=2).min(axis=1)
        sides[run] = SIDES[int(rooms.argmax())]
        occupied = np.vstack([occupied, candidates[rooms.argmax()]])
    return sides


def label_point(axis: "Axes", text: str, point: np.ndarray, side: tuple[int, int]) -> None:
    """Write the text beside a point, on the side that `label_sides` found."""
    (x, y), (right, above) = point, side
    axis.annotate(
        text,
        (x, y),
        xytext=(6 * right, 6 * above),
        textcoords="offset points",
        fontsize=FONT,
        color=INK,
        ha=("right", "center", "left")[right + 1],
        va=("top", "center", "bottom")[above + 1],
        zorder=5,
        gid="beta",
    )


def _occupied(drawn: np.ndarray, points: np.ndarray, sides: dict[int, tuple[int, int]]) -> np.ndarray:
    """The drawn points, and where their labels are."""
    reach = 0.06 * (drawn.max(axis=0) - drawn.min(axis=0))
    return np.array([*drawn, *(points[run] + reach * side for run, side in sides.items())])


def _iso_elbo(axis: "Axes", x: np.ndarray, y: np.ndarray) -> None:
    """Draw lines of equal ELBO within the axes' limits, each labelled where it is furthest from points and labels."""
    from matplotlib.patheffects import withStroke

    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    scale = np.array([right - left, top - bottom])
    occupied = np.stack([x, y], axis=1) / scale
    for elbo, start, end in iso_elbo((left, right), (bottom, top)):
        axis.plot([start, end], [-elbo - start, -elbo - end], color="0.85", linewidth=0.8, zorder=1, gid="iso-elbo")
        margin = max(0.12 * (end - start), 0.1 * (right - left))  # half of a label's length
        along = np.linspace(start + margin, end - margin, 25)
        positions = np.stack([along, -elbo - along], axis=1)
        distances = np.linalg.norm(positions[:, None] / scale - occupied, axis=2).min(axis=1)
        position = positions[distances.argmax()]
        if end - start < 0.2 * (right - left) or distances.max() < 0.03:
            continue
        text = axis.annotate(
            f"ELBO {elbo:g}".replace("-", "\N{MINUS SIGN}"),
            position,
            fontsize=FONT,
            color="0.5",
            ha="center",
            va="center",
            zorder=2,
        )
        text.set(rotation=-45, rotation_mode="anchor", transform_rotates_text=True)
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
        occupied = np.concatenate([occupied, position[None] / scale])


def iso_elbo(x: tuple[float, float], y: tuple[float, float]) -> list[tuple[float, float, float]]:
    """Lines of equal ELBO across a part of the plane, as (ELBO, rate at the left end, rate at the right end)."""
    from matplotlib.ticker import MaxNLocator

    (left, right), (bottom, top) = x, y
    levels = [float(level) for level in MaxNLocator(ISO_LINES).tick_values(-(right + top), -(left + bottom))]
    lines = [(elbo, max(left, -elbo - top), min(right, -elbo - bottom)) for elbo in levels]
    return [(elbo, start, end) for elbo, start, end in lines if end - start >= 0.02 * (right - left)]


def padded(values: np.ndarray) -> tuple[float, float]:
    """Range of the values with a margin on both sides."""
    margin = max(0.08 * (values.max() - values.min()), 0.01 * abs(values).max(), 0.5)
    return float(values.min() - margin), float(values.max() + margin)
