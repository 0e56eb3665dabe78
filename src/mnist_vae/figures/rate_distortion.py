"""Rate-distortion plane of the runs of a sweep."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_vae.figures.style import DPI, FONT, style_axes
from mnist_vae.figures.sweeps import FEW, MAX_NAME, Value, abbreviate, drawable, escape, is_numeric, is_wide

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_COLOURS = 10  # for values that are not numbers; further values are drawn in grey
ISO_LINES = 7
GREY = "0.6"


def rate_distortion(
    rate: Sequence[float],
    distortion: Sequence[float],
    values: Sequence[Value] = (),
    name: str = "",
    best: int | None = None,
    title: str = "",
    curves: Sequence[Sequence[int]] = (),
    free: Sequence[int] = (),
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
    """
    from matplotlib.figure import Figure

    points = np.stack([drawable(rate), drawable(distortion)], axis=1)
    finite = np.isfinite(points).all(axis=1)
    figure = Figure(figsize=(4.4, 3.6), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    if finite.any():
        x, y = points[finite].T
        axis.set(xlim=_padded(x), ylim=_padded(y))
        for curve in curves:
            axis.plot(*points[[run for run in curve if finite[run]]].T, color="0.6", linewidth=1, zorder=2, gid="curve")
        marked = [run for run in free if finite[run]]
        if marked:
            style: dict[str, Any] = {"mfc": "none", "mec": "tab:red", "mew": 1, "zorder": 4, "gid": "free"}
            axis.plot(*points[marked].T, "D", ms=9, label="β = 1", **style)
            # As a separate artist: the axes keep only the latest legend, which is that of the colours.
            legend = axis.legend(loc="upper right", fontsize=FONT - 1, frameon=False)
            axis.add_artist(legend)
        _scatter(
            axis, x, y, [value for value, keep in zip(values, finite, strict=True) if keep] if values else [], name
        )
        if best is not None and finite[best]:
            axis.plot(*points[best], "o", ms=11, mfc="none", mec="black", mew=1.2, gid="best", zorder=4)
        figure.draw_without_rendering()  # fixes the axes' shape, by which the lines' labels are rotated
        _iso_elbo(axis, x, y)
    axis.set(xlabel="rate: KL, nats per image", ylabel="distortion: reconstruction, nats per image")
    style_axes(axis, escape(title))
    return figure


def _scatter(axis: "Axes", x: np.ndarray, y: np.ndarray, values: Sequence[Value], name: str) -> None:
    """Draw the runs, with a colour bar for many numbers, else with a legend."""
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.ticker import LogLocator

    style: dict[str, Any] = {
        "s": min(36, max(10, 4000 / len(x))),
        "alpha": 0.85,
        "edgecolors": "white",
        "linewidths": 0.4,
        "zorder": 3,
    }
    distinct: list[Any] = list(dict.fromkeys(values))
    if len(distinct) < 2:
        axis.scatter(x, y, color="tab:blue", **style)
    elif is_numeric(values) and len(distinct) > FEW:
        norm = (LogNorm if is_wide(values) else Normalize)(min(distinct), max(distinct))
        points = axis.scatter(x, y, c=np.array(values, float), cmap="viridis", norm=norm, **style)
        bar = axis.figure.colorbar(points, ax=axis, pad=0.02, aspect=30)
        bar.set_label(abbreviate(name, MAX_NAME), fontsize=FONT)
        bar.ax.tick_params(labelsize=FONT - 1)
        if is_wide(values):
            bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
            bar.ax.yaxis.set_major_formatter("{x:g}")
            bar.minorticks_off()
    else:
        if is_numeric(values):
            distinct.sort()
            colours = [colormaps["viridis"](position) for position in np.linspace(0, 0.9, len(distinct))]
        else:
            colours = [colormaps["tab10"](index) for index in range(len(distinct))][:MAX_COLOURS]
        handles, labels = [], []
        for index, value in enumerate(distinct):
            selected = np.array([other == value for other in values])
            colour = colours[index] if index < len(colours) else GREY
            handles.append(axis.scatter(x[selected], y[selected], color=colour, **style))
            labels.append(abbreviate(value))
        if len(distinct) > len(colours):
            labels[len(colours) :] = [f"{len(distinct) - len(colours)} others"]
            del handles[len(labels) :]
        _legend(axis, handles, labels, abbreviate(name, MAX_NAME))


def _legend(axis: "Axes", handles: list, labels: list[str], title: str) -> None:
    """Draw a legend to the right of the axes, where it covers no point."""
    legend = axis.legend(
        handles,
        labels,
        title=title,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        fontsize=FONT - 1,
        title_fontsize=FONT - 1,
        alignment="left",
    )
    for handle in legend.legend_handles:
        handle.set_sizes([30])  # type: ignore[union-attr]


def _iso_elbo(axis: "Axes", x: np.ndarray, y: np.ndarray) -> None:
    """Draw lines of equal ELBO within the axes' limits, each labelled where it is furthest from points and labels."""
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import MaxNLocator

    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    scale = np.array([right - left, top - bottom])
    occupied = np.stack([x, y], axis=1) / scale
    for elbo in MaxNLocator(ISO_LINES).tick_values(-(right + top), -(left + bottom)):
        start, end = max(left, -elbo - top), min(right, -elbo - bottom)
        if end - start < 0.02 * (right - left):
            continue
        axis.plot([start, end], [-elbo - start, -elbo - end], color="0.85", linewidth=0.8, zorder=1, gid="iso-elbo")
        along = np.linspace(start + 0.12 * (end - start), end - 0.12 * (end - start), 25)
        positions = np.stack([along, -elbo - along], axis=1)
        distances = np.linalg.norm(positions[:, None] / scale - occupied, axis=2).min(axis=1)
        position = positions[distances.argmax()]
        if end - start < 0.2 * (right - left) or distances.max() < 0.03:
            continue
        text = axis.annotate(
            f"ELBO {elbo:g}".replace("-", "\N{MINUS SIGN}"),
            position,
            fontsize=FONT - 2,
            color="0.5",
            ha="center",
            va="center",
            zorder=2,
        )
        text.set(rotation=-45, rotation_mode="anchor", transform_rotates_text=True)
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
        occupied = np.concatenate([occupied, position[None] / scale])


def _padded(values: np.ndarray) -> tuple[float, float]:
    """Range of the values with a margin on both sides."""
    margin = max(0.08 * (values.max() - values.min()), 0.01 * abs(values).max(), 0.5)
    return float(values.min() - margin), float(values.max() + margin)
