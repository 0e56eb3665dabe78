"""What the report's charts have in common: a figure for plotly.js, as plain data, and a picture of it for printing.

plotly.js interprets some HTML tags in every text, and `%{…}` in templates. So the texts of a sweep's folder, which can
come from anyone, are escaped by `text`, and stand in no template.
"""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mnist_vae.figures.colours import INK
from mnist_vae.figures.palette import Colouring, colouring, sequential
from mnist_vae.figures.sweeps import Value, drawable
from mnist_vae.sweeps.job_results import Job
from mnist_vae.sweeps.report.pictures import Picture
from mnist_vae.sweeps.report.tables import LONGEST_NAME
from mnist_vae.sweeps.varied import SEED, written
from mnist_vae.utils.text import DASH, plural, shortened

Trace = dict[str, Any]

MOST_KEYS = 8  # settings that can be chosen
LABEL, TITLE, CHOICE = 18, 26, 16  # characters of a legend's entry, of a setting's name, and of one in a menu
TEXT = 12  # pixels, which are 9 points
LINE, GRID = "#9aa3af", "#e6e8ec"
AXIS = {
    "gridcolor": GRID,
    "linecolor": LINE,
    "showline": True,
    "zeroline": False,
    "automargin": True,
    "title": {"standoff": 8},
}
FONT = {"family": 'system-ui, "Segoe UI", Roboto, sans-serif', "size": TEXT, "color": INK}
LAYOUT: dict[str, Any] = {
    "font": FONT,
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "hovermode": "closest",
    "hoverlabel": {"align": "left", "bgcolor": "#ffffff", "bordercolor": LINE, "font": FONT},
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": LINE, "activecolor": INK},
    "margin": {"l": 56, "r": 12, "t": 76, "b": 44},
}
LEGEND = {"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top", "tracegroupgap": 0, "itemwidth": 30}
MENU: dict[str, Any] = {"y": 1, "yanchor": "bottom", "pad": {"b": 8}, "bgcolor": "#ffffff", "bordercolor": LINE}


@dataclass(frozen=True)
class Chart:
    """A chart of the report.

    Attributes:
        figure: `data` and `layout` of plotly.js.
        pictures: what is shown in print and without JavaScript.
        alt: what the chart shows.
        height: in pixels.
        width: the page's; `wide` with a least width, so that it scrolls sideways on a narrow screen; `narrow` with a
            greatest one.
        note: what it leaves out, as a sentence; empty if nothing.
    """

    figure: dict[str, Any]
    pictures: list[Picture]
    alt: str
    height: int
    width: Literal["full", "wide", "narrow"] = "full"
    note: str = ""


def text(value: str, limit: int = LONGEST_NAME) -> str:
    """Escape text of anyone for plotly.js, and shorten it."""
    return html.escape(shortened(value, limit), quote=False)


def numbers(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """Numbers for JSON, with six digits; None for those that can't be drawn."""
    rounded = [float(f"{value:.6g}") if math.isfinite(value) else None for value in drawable(values)]
    return [
        int(value) if value is not None and value.is_integer() else value for value in rounded
    ]  # as they are shorter


def roomy(values: Sequence[float] | np.ndarray, share: float = 0.08) -> list[float] | None:
    """The range of an axis on which no point touches its line; None if there is nothing to draw."""
    finite = [value for value in drawable(values).tolist() if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    room = share * (high - low) or max(0.05 * abs(high), 0.5)
    return [low - room, high + room]


def note_of(most: int, count: int, noun: str) -> str:
    """What a chart leaves out that shows the first `most` of so many; empty if it shows all."""
    return f"The chart has the first {most} of {plural(count, noun)}." if count > most else ""


def varying(jobs: Sequence[Job], keys: Sequence[str]) -> list[str]:
    """The keys in which jobs differ; the seed, which is not of interest, only where nothing else varies."""
    found = [key for key in keys if len(set(map(str, values(jobs, key)))) > 1]
    return [key for key in found if key != SEED][:MOST_KEYS] or found


def values(jobs: Sequence[Job], key: str) -> list[Value]:
    """A value per job: numbers if all are, else text. Seeds are names: they have no order, and no line joins them."""
    found = [job.settings.get(key, DASH) for job in jobs]
    if key != SEED and all(isinstance(value, int | float) and not isinstance(value, bool) for value in found):
        return found
    return [value if isinstance(value, str) else written(value) for value in found]


def coloured(traces: list[Trace], settings: Mapping[str, Sequence[Value]], kind: str) -> tuple[list[Trace], list[Any]]:
    """Colour traces by the first setting, with a menu to choose another one.

    Args:
        traces: one per item. They must be the first ones of the figure.
        settings: {name: a value per item}.
        kind: what is coloured of a trace, `line` or `marker`.

    Returns:
        The traces, with others that hold the colour bars, and the menu; no menu for fewer than two settings.
    """
    colourings = {key: colouring(items) for key, items in settings.items()}
    bars = {key: _colour_bar(key, found.scale) for key, found in colourings.items() if found.scale}
    states = {key: _state(found, kind, [other == key for other in bars]) for key, found in colourings.items()}
    first = next(iter(settings), None)
    if first is not None:
        for index, trace in enumerate(traces):
            chosen = {name: column[index] for name, column in states[first].items() if name != f"{kind}.color"}
            trace |= chosen | {kind: trace.get(kind, {}) | {"color": colourings[first].colours[index]}}
        for key, bar in bars.items():
            bar |= {"visible": key == first, "showlegend": False}
    everything = [*traces, *bars.values()]
    buttons = [
        {
            "label": f"colour: {text(key, CHOICE)}",
            "method": "update",
            "args": [state, {"legend.title.text": _legend_title(key, key in bars)}, [*range(len(everything))]],
        }
        for key, state in states.items()
    ]
    # Left of the axes, since on a narrow screen a second menu stands beside it.
    menu = {**MENU, "x": 0, "xanchor": "left", "pad": MENU["pad"] | {"l": -40}, "buttons": buttons}
    return everything, [menu] if len(buttons) > 1 else []


def legend_of(settings: Mapping[str, Sequence[Value]]) -> dict[str, Any]:
    """The legend that goes with `coloured`."""
    key, items = next(iter(settings.items()), ("", []))
    return {**LEGEND, "title": {"text": _legend_title(key, colouring(items).scale is not None)}}


def _legend_title(key: str, has_bar: bool) -> str:
    """The setting's name, which stands at the colour bar if there is one."""
    return "" if has_bar else text(key, TITLE)


def _state(found: Colouring, kind: str, bars: list[bool]) -> dict[str, list[Any]]:
    """The attributes of all traces when they are coloured by one setting."""
    shown = [bool(label) and label not in found.labels[:index] for index, label in enumerate(found.labels)]
    places = {label: 1 + place for place, label in enumerate(found.order)}
    labels = [text(label, LABEL) for label in found.labels]
    rest = [None] * len(bars)
    return {
        f"{kind}.color": [*found.colours, *rest],
        "name": [*labels, *rest],
        "legendgroup": [*labels, *rest],
        "legendrank": [*(places.get(label, 1) for label in found.labels), *(1 for _ in bars)],
        "showlegend": [*shown, *(False for _ in bars)],
        "visible": [*(True for _ in found.labels), *bars],
    }


def _colour_bar(key: str, scale: tuple[float, float, bool]) -> Trace:
    """A trace without points: plotly.js draws a colour bar only as a part of one."""
    low, high, wide = scale
    ends = [math.log10(low), math.log10(high)] if wide else [low, high]
    round_ones = log_ticks(low, high, most=5) if wide else {}
    ticks = {"tickvals": [math.log10(tick) for tick in round_ones], "ticktext": [*round_ones.values()], "tickangle": 0}
    bar = {
        "title": {"text": text(key, TITLE), "side": "top"},
        "orientation": "h",
        "thickness": 10,
        "x": 0,
        "xanchor": "left",
        "y": -0.26,
        "yanchor": "top",
        "outlinewidth": 0,
    }
    colorscale = [[place / 10, colour] for place, colour in enumerate(sequential([place / 10 for place in range(11)]))]
    marker = {
        "color": [ends[0]],
        "cmin": ends[0],
        "cmax": ends[1],
        "colorscale": colorscale,
        "showscale": True,
        "colorbar": bar | (ticks if wide else {"nticks": 6}),
    }
    return {"type": "scatter", "mode": "markers", "x": [None], "y": [None], "hoverinfo": "skip", "marker": marker}


def log_ticks(low: float, high: float, most: int) -> dict[float, str]:
    """Round numbers for a logarithmic scale, each with its label."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= most:
            break
    # Of 0.0003 and 3e-4 the shorter one.
    return {
        tick: min(f"{tick:g}", f"{tick:.0e}".replace("e-0", "e-").replace("e+0", "e"), key=len)
        for tick in ticks[:: -(-len(ticks) // most) or 1]
    }
