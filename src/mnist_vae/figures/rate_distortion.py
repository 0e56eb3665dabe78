"""Many runs in the rate-distortion plane."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_vae.figures.style import DPI, FONT, tidy
from mnist_vae.figures.sweeps import FEW, Value, is_numeric, is_wide, plain, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMES = 10  # of a legend; the others share a grey
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
    """Runs in the rate-distortion plane: Alemi et al. (2018), "Fixing a Broken ELBO".

    Along each straight line rate + distortion, the negative ELBO, is the same; the lines are labelled by the ELBO.

    Args:
        rate: KL terms in nats; runs without a finite rate and distortion are left out.
        distortion: reconstruction terms in nats, one per run as well.
        values: one of the setting `name` per run, which gives its colour; or none.
        best: the index of the run to be ringed.
        curves: indices of runs to be joined by a line, in their order.
        free: indices of runs to be marked as trained with beta = 1, which come to rest where they like.
    """
    from matplotlib.figure import Figure

    places = np.array([rate, distortion], float).T
    kept = np.isfinite(places).all(axis=1)
    figure = Figure(figsize=(4.4, 3.6), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    if kept.any():
        x, y = places[kept].T
        axis.set(xlim=_padded(x), ylim=_padded(y))
        for curve in curves:
            axis.plot(*places[[run for run in curve if kept[run]]].T, color="0.6", linewidth=1, zorder=2, gid="curve")
        resting = [run for run in free if kept[run]]
        if resting:
            style: dict[str, Any] = {"mfc": "none", "mec": "tab:red", "mew": 1, "zorder": 4, "gid": "free"}
            axis.plot(*places[resting].T, "D", ms=9, label="β = 1", **style)
            # As an artist of its own: the axes keep only the latest legend, which is that of the colours.
            marks = axis.legend(loc="upper right", fontsize=FONT - 1, frameon=False)
            axis.add_artist(marks)
        _scatter(axis, x, y, [value for value, keep in zip(values, kept, strict=True) if keep] if values else [], name)
        if best is not None and kept[best]:
            axis.plot(*places[best], "o", ms=11, mfc="none", mec="black", mew=1.2, gid="best", zorder=4)
        figure.draw_without_rendering()  # the lines' labels are turned to the axes' final shape
        _iso_elbo(axis, x, y)
    axis.set(xlabel="rate: KL, nats per image", ylabel="distortion: reconstruction, nats per image")
    tidy(axis, plain(title))
    return figure


def _scatter(axis: "Axes", x: np.ndarray, y: np.ndarray, values: Sequence[Value], name: str) -> None:
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
        bar.set_label(plain(name), fontsize=FONT)
        bar.ax.tick_params(labelsize=FONT - 1)
        if is_wide(values):
            bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
            bar.ax.yaxis.set_major_formatter("{x:g}")
            bar.minorticks_off()
    else:
        if is_numeric(values):
            distinct.sort()
            colours = [colormaps["viridis"](place) for place in np.linspace(0, 0.9, len(distinct))]
        else:
            colours = [colormaps["tab10"](place) for place in range(len(distinct))][:MOST_NAMES]
        handles, labels = [], []
        for place, value in enumerate(distinct):
            here = np.array([other == value for other in values])
            colour = colours[place] if place < len(colours) else GREY
            handles.append(axis.scatter(x[here], y[here], color=colour, **style))
            labels.append(short(value))
        if len(distinct) > len(colours):
            labels[len(colours) :] = [f"{len(distinct) - len(colours)} others"]
            del handles[len(labels) :]
        _legend(axis, handles, labels, plain(name))


def _legend(axis: "Axes", handles: list, labels: list[str], title: str) -> None:
    """To the right of the axes, where it hides no point."""
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
    """Lines of equal ELBO through the axes as they are, each labelled where it is furthest from points and labels."""
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import MaxNLocator

    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    scale = np.array([right - left, top - bottom])
    taken = np.stack([x, y], axis=1) / scale
    for elbo in MaxNLocator(ISO_LINES).tick_values(-(right + top), -(left + bottom)):
        start, end = max(left, -elbo - top), min(right, -elbo - bottom)
        if end - start < 0.02 * (right - left):
            continue
        axis.plot([start, end], [-elbo - start, -elbo - end], color="0.85", linewidth=0.8, zorder=1, gid="iso-elbo")
        along = np.linspace(start + 0.12 * (end - start), end - 0.12 * (end - start), 25)
        places = np.stack([along, -elbo - along], axis=1)
        distances = np.linalg.norm(places[:, None] / scale - taken, axis=2).min(axis=1)
        place = places[distances.argmax()]
        if end - start < 0.2 * (right - left) or distances.max() < 0.03:
            continue
        text = axis.annotate(
            f"ELBO {elbo:g}".replace("-", "\N{MINUS SIGN}"),
            place,
            fontsize=FONT - 2,
            color="0.5",
            ha="center",
            va="center",
            zorder=2,
        )
        text.set(rotation=-45, rotation_mode="anchor", transform_rotates_text=True)
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
        taken = np.concatenate([taken, place[None] / scale])


def _padded(values: np.ndarray) -> tuple[float, float]:
    room = max(0.08 * (values.max() - values.min()), 0.01 * abs(values).max(), 0.5)
    return float(values.min() - room), float(values.max() + room)
