"""Small multiples of each setting that varies against each metric."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mnist_vae import figures
from mnist_vae.figures.colours import BLUE, INK
from mnist_vae.figures.sweeps import Value, drawable, is_numeric, is_wide, mean_line, scattered_settings, short
from mnist_vae.sweeps.ranking import Group
from mnist_vae.sweeps.report.charts.chart import (
    AXIS,
    LAYOUT,
    TITLE,
    Chart,
    Trace,
    log_ticks,
    numbers,
    roomy,
    text,
    values,
    varying,
)
from mnist_vae.sweeps.report.pictures import embedded
from mnist_vae.sweeps.report.tables import anchor, described, metrics_of

COLUMNS = 5  # metrics
ROW = 210  # pixels
MOST_TICKS = 8
NAME, CROWDED = 12, 18  # characters of a tick, and of all ticks that fit beside each other


def effects(group: Group) -> Chart | None:
    """A point per run, and the mean at each value; None if no setting varies."""
    jobs = group.jobs
    settings = {key: values(jobs, key) for key in varying(jobs, group.keys)}
    if not settings:
        return None
    shown = list(metrics_of(group).items())[:COLUMNS]
    metrics = {heading: [job.number(name) for job in jobs] for name, heading in shown}
    names, rows = [text(described(job, group)) for job in jobs], [anchor(job) for job in jobs]
    scattered = scattered_settings(settings)
    traces: list[Trace] = []
    layout: dict[str, Any] = {**LAYOUT, "showlegend": False, "annotations": []}
    for row, (key, items) in enumerate(settings.items()):
        for column, (heading, measured) in enumerate(metrics.items()):
            number = _number(row * len(metrics) + column)
            traces += _panel(items, measured, key in scattered, number, {"text": names, "customdata": rows})
            layout[f"xaxis{number}"] = {
                **AXIS,
                "tickangle": 0,
                **_scale(items),
                "title": {"text": text(key, TITLE), "standoff": 6},
            }
            layout[f"yaxis{number}"] = {**AXIS, "nticks": 5, "range": roomy(measured)}
            if row:
                layout[f"yaxis{number}"]["matches"] = f"y{_number(column)}"
            else:
                layout["annotations"].append(_heading(heading, number))
    layout |= {"grid": {"rows": len(settings), "columns": len(metrics), "pattern": "independent", "ygap": 0.35}}
    layout["margin"] = LAYOUT["margin"] | {"t": 50}
    picture = embedded(figures.by_setting(settings, metrics))
    height = 70 + ROW * len(settings)
    return Chart({"data": traces, "layout": layout}, [picture], "Metrics by setting", height, "wide")


def _number(panel: int) -> str:
    """What plotly.js appends to the names of a panel's axes: nothing, 2, 3, …"""
    return str(panel + 1) if panel else ""


def _panel(
    items: Sequence[Value], measured: Sequence[float], scattered: bool, number: str, hover: Mapping[str, Any]
) -> list[Trace]:
    """The points of the runs, and their means."""
    places, metric = _places(items), drawable(measured)
    line: list[tuple[Any, float]] = mean_line(items, metric, scattered)
    at: dict[Any, float] = dict(zip(items, places, strict=True)) if not is_numeric(items) else {}
    panel = {"type": "scatter", "xaxis": f"x{number}", "yaxis": f"y{number}"}
    points = {
        "mode": "markers",
        "x": numbers(places),
        "y": numbers(metric),
        "hovertemplate": "%{text}<br>%{y:.5g}<extra></extra>",
        "marker": {"color": BLUE, "size": 7, "opacity": 0.8},
    }
    bar = {"symbol": "line-ew-open", "size": 22, "line": {"width": 2}}
    means = {
        "mode": "markers" if at else "lines+markers",
        "x": numbers([at[value] if at else value for value, _ in line]),
        "y": numbers([mean for _, mean in line]),
        "hovertemplate": "mean %{y:.5g}<extra></extra>",
        "marker": {"color": INK, **(bar if at else {"size": 5})},
        "line": {"color": INK, "width": 1.5},
    }
    return [{**panel, **points, **hover}, {**panel, **means}]


def _places(items: Sequence[Value]) -> Sequence[float]:
    """Where the items stand on the axis: at their numbers, or names in the order in which they occur."""
    if is_numeric(items):
        return np.array(items, float).tolist()
    order = {value: float(place) for place, value in enumerate(dict.fromkeys(items))}
    return [order[value] for value in items]


def _scale(items: Sequence[Value]) -> dict[str, Any]:
    """The x axis: never one of categories or dates, which plotly.js would guess from text."""
    distinct: list[Any] = list(dict.fromkeys(items))
    if is_numeric(items):
        few, wide = MOST_TICKS // 2, is_wide(items)
        axis = {"type": "log" if wide else "linear", "range": roomy(np.log10(distinct) if wide else distinct)}
        if len(distinct) <= few:
            ticks = {value: short(value) for value in sorted(distinct)}
        elif wide:
            ticks = log_ticks(min(distinct), max(distinct), few - 1)
        else:
            return {**axis, "nticks": few}
        return {**axis, "tickvals": [*ticks], "ticktext": [*ticks.values()]}
    step = -(-len(distinct) // MOST_TICKS)
    shown = range(0, len(distinct), step)
    names = [short(distinct[place], NAME) for place in shown]
    return {
        "type": "linear",
        "range": [-0.5, len(distinct) - 0.5],
        "tickvals": [*shown],
        "ticktext": [text(name) for name in names],
        "tickangle": 40 if sum(map(len, names)) > CROWDED else 0,
    }


def _heading(heading: str, number: str) -> dict[str, Any]:
    return {
        "text": f"<b>{text(heading, TITLE)}</b>",
        "xref": f"x{number} domain",
        "yref": f"y{number} domain",
        "x": 0,
        "y": 1,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
    }
