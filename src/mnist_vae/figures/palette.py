"""Colours of a setting's values: distinguishable with a colour-vision deficiency, and none faint on white."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnist_vae.figures.colours import BLUE, GREY, NAMES
from mnist_vae.figures.style import FONT
from mnist_vae.figures.sweeps import FEW, MAX_NAME, Value, abbreviate, escape, is_numeric, is_wide, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORMAP, DARKEST_PART = "plasma", 0.65  # of lightness that rises evenly; the rest is yellow


@dataclass(frozen=True)
class Colouring:
    """Colours of the items of a figure.

    Attributes:
        colours: a colour of each item, as #rrggbb.
        labels: an entry of the legend for each item, in full; all empty where there is no legend.
        order: the distinct labels in the legend's order, with their colours.
        scale: the least and the greatest number, and whether the scale is logarithmic; None where there is a legend.
    """

    colours: list[str]
    labels: list[str]
    order: dict[str, str]
    scale: tuple[float, float, bool] | None = None


def colouring(values: Sequence[Value]) -> Colouring:
    """Colour items by the values of a setting: a scale for many numbers, else a legend.

    Numbers are coloured by a sequential colour map, names by colours that have no order. More names than there are
    colours share the grey of `… others`.
    """
    distinct: list[Any] = list(dict.fromkeys(values))
    if len(distinct) < 2:
        return Colouring([BLUE] * len(values), [""] * len(values), {})
    if is_numeric(values) and len(distinct) > FEW:
        low, high, wide = min(distinct), max(distinct), is_wide(values)
        start, end = _position(low, wide), _position(high, wide)
        shares = [(_position(value, wide) - start) / (end - start) for value in values]  # type: ignore[arg-type]
        return Colouring(sequential(shares), [""] * len(values), {}, (low, high, wide))
    if is_numeric(values):
        distinct.sort()
        colours = sequential([index / (len(distinct) - 1) for index in range(len(distinct))])
    else:
        colours = list(NAMES)
    labels = {value: short(value) for value in distinct[: len(colours)]}
    others = f"{len(distinct) - len(colours)} others"
    of_value = dict(zip(labels, colours, strict=False))
    order = {labels[value]: colour for value, colour in of_value.items()}
    if len(distinct) > len(colours):
        order[others] = GREY
    return Colouring(
        [of_value.get(value, GREY) for value in values], [labels.get(value, others) for value in values], order
    )


def sequential(shares: Sequence[float]) -> list[str]:
    """Colours as #rrggbb for shares between 0 and 1, the darkest at 0."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in colormaps[COLORMAP]([DARKEST_PART * share for share in shares])]


def _position(value: float, wide: bool) -> float:
    return math.log(value) if wide else float(value)


def draw_key(axis: "Axes", colours: Colouring, name: str, marker: str = "o") -> None:
    """Draw the legend or the colour bar to the right of the axes, where it covers no point.

    Args:
        axis: the axes.
        colours: the colouring of what they show.
        name: name of the setting, in full.
        marker: of the legend's entries; empty for a line.
    """
    if colours.scale:
        _colour_bar(axis, colours.scale, name)
    elif colours.order:
        from matplotlib.lines import Line2D

        style: dict[str, Any] = {"marker": marker, "linestyle": ""} if marker else {"linewidth": 1.6}
        axis.legend(
            [Line2D([], [], color=colour, **style) for colour in colours.order.values()],
            [escape(label) for label in colours.order],
            title=abbreviate(name, MAX_NAME),
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            fontsize=FONT,
            title_fontsize=FONT,
            alignment="left",
        )


def _colour_bar(axis: "Axes", scale: tuple[float, float, bool], name: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, LogNorm, Normalize
    from matplotlib.ticker import LogLocator

    low, high, wide = scale
    colormap = ListedColormap(sequential([index / 255 for index in range(256)]))
    mappable = ScalarMappable((LogNorm if wide else Normalize)(low, high), colormap)
    bar = axis.figure.colorbar(mappable, ax=axis, pad=0.02, aspect=30)
    bar.set_label(abbreviate(name, MAX_NAME), fontsize=FONT)
    bar.ax.tick_params(labelsize=FONT)
    if wide:
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.minorticks_off()
