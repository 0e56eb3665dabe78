"""The rate-distortion plane of a group's configurations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mnist_vae import figures
from mnist_vae.figures.colours import INK
from mnist_vae.figures.rate_distortion import iso_elbo, label_sides, padded
from mnist_vae.figures.sweeps import Value, drawable, short
from mnist_vae.sweeps.job_results import Job
from mnist_vae.sweeps.ranking import Group
from mnist_vae.sweeps.report.charts.chart import (
    AXIS,
    LAYOUT,
    LINE,
    Chart,
    Trace,
    coloured,
    legend_of,
    note_of,
    numbers,
    text,
    values,
    varying,
)
from mnist_vae.sweeps.report.pictures import embedded
from mnist_vae.sweeps.report.tables import anchor, columns, described
from mnist_vae.sweeps.varied import SEED
from mnist_vae.utils.text import MINUS

PICTURES = 2  # static ones, each coloured by another setting
MOST_POINTS = 500


def plane(group: Group) -> Chart | None:
    """A point per configuration, by its means over seeds, with a menu for the setting that colours the points; None if
    no setting but the seed varies."""
    configurations = group.configurations[:MOST_POINTS]
    firsts = [configuration.jobs[0] for configuration in configurations]
    settings = {key: values(firsts, key) for key in varying(firsts, group.keys) if key != SEED}
    if not settings:
        return None
    names = ("test/kl", "test/reconstruction")
    rate, distortion = ([configuration.mean(name) for configuration in configurations] for name in names)
    curves, free = along_beta({key: values(firsts, key) for key in columns(group) if key != SEED})
    betas = settings["beta"] if curves else []
    best = 0 if group.best else None
    pictures = [
        embedded(figures.rate_distortion(rate, distortion, colour, key, best, curves=curves, free=free, betas=betas))
        for key, colour in list(settings.items())[:PICTURES]
    ]
    points = [_point(job, group, *at) for job, *at in zip(firsts, rate, distortion, strict=True)]
    traces, menus = coloured(points, settings, "marker")
    lines = _iso_lines(rate, distortion)
    others = [*lines, *_marks(rate, distortion, curves, free, best), *_betas(rate, distortion, curves, betas)]
    axes = _axes(rate, distortion)
    layout = {**LAYOUT, **axes, "legend": legend_of(settings)}
    layout["updatemenus"] = [menu | {"pad": menu["pad"] | {"b": 26}} for menu in menus]  # above the labels
    layout["annotations"] = _labels(lines, axes["xaxis"]["range"], axes["yaxis"]["range"])
    layout["margin"] = LAYOUT["margin"] | {"r": 56, "t": 92}
    figure = {"data": [*traces, *others], "layout": layout}
    note = note_of(MOST_POINTS, len(group.configurations), "configuration")
    return Chart(figure, pictures, "Rate against distortion", height=560, width="narrow", note=note)


def along_beta(settings: Mapping[str, Sequence[Value]]) -> tuple[list[list[int]], list[int]]:
    """Items that differ in beta alone, by rising beta, as indices; and those of beta = 1. Neither if beta is fixed."""
    betas = settings.get("beta", ["fixed"])
    if not all(isinstance(beta, int | float) for beta in betas):
        return [], []
    families: dict[str, list[int]] = {}
    for index in range(len(betas)):
        others = {key: items[index] for key, items in settings.items() if key != "beta"}
        families.setdefault(repr(others), []).append(index)
    curves = [sorted(family, key=lambda index: betas[index]) for family in families.values() if len(family) > 2]
    return curves, [index for index, beta in enumerate(betas) if beta == 1]


def _point(job: Job, group: Group, rate: float, distortion: float) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": numbers([rate]),
        "y": numbers([distortion]),
        "text": text(described(job, group, with_seed=not group.several_seeds)),
        "uid": anchor(job),
        "hovertemplate": "%{fullData.text}<br>rate %{x:.2f}, distortion %{y:.2f}<extra></extra>",
        "marker": {"size": 9, "line": {"width": 0.5, "color": "#ffffff"}},
        "showlegend": False,
    }


def _axes(rate: Sequence[float], distortion: Sequence[float]) -> dict[str, dict]:
    points = _finite(rate, distortion)
    x, y = (list(padded(column)) for column in points.T) if len(points) else (None, None)
    return {
        "xaxis": {**AXIS, "range": x, "title": {"text": "rate: KL, nats per image", "standoff": 8}},
        "yaxis": {**AXIS, "range": y, "title": {"text": "distortion: reconstruction, nats", "standoff": 8}},
    }


def _iso_lines(rate: Sequence[float], distortion: Sequence[float]) -> list[Trace]:
    """Lines of equal ELBO."""
    points = _finite(rate, distortion)
    if not len(points):
        return []
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [start, end],
            "y": [-elbo - start, -elbo - end],
            "line": {"color": "#d3d7dd", "width": 1},
            "hoverinfo": "skip",
            "showlegend": False,
            "zorder": -2,
        }
        for elbo, start, end in iso_elbo(padded(points[:, 0]), padded(points[:, 1]))
    ]


def _labels(lines: list[Trace], x: tuple[float, float], y: tuple[float, float]) -> list[dict[str, Any]]:
    """The ELBO of each line, outside the axes, where it covers no point: at its right end, or else at its top."""
    labels = []
    for line in lines:
        (start, end), (first, last) = line["x"], line["y"]
        common = {"text": f"{-start - first:g}".replace("-", MINUS), "showarrow": False, "font": {"color": "#6b7280"}}
        if end == x[1] and last > y[0]:
            labels.append({**common, "x": 1, "xref": "x domain", "xanchor": "left", "y": last})
        elif start > x[0]:
            labels.append({**common, "x": start, "y": 1, "yref": "y domain", "yanchor": "bottom"})
    return labels


def _marks(
    rate: Sequence[float], distortion: Sequence[float], curves: list[list[int]], free: list[int], best: int | None
) -> list[Trace]:
    """Lines along beta, a diamond for each beta = 1, and a ring for the best."""
    x, y = numbers(rate), numbers(distortion)
    common = {"type": "scatter", "hoverinfo": "skip", "legendrank": 2000}
    traces: list[Trace] = [
        common
        | {"mode": "lines", "x": [x[run] for run in curve], "y": [y[run] for run in curve]}
        | {"name": "numbers: β", "showlegend": index == 0}
        | {"line": {"color": LINE, "width": 1}, "zorder": -1}
        for index, curve in enumerate(curves)
    ]
    rings = {"β = 1": (free, "diamond-open", INK, 15), "best": ([] if best is None else [best], "circle-open", INK, 18)}
    for name, (runs, symbol, colour, size) in rings.items():
        if runs:
            marker = {"symbol": symbol, "size": size, "color": colour, "line": {"width": 1.5}}
            at = {"x": [x[run] for run in runs], "y": [y[run] for run in runs]}
            traces.append(common | at | {"mode": "markers", "name": name, "showlegend": True, "marker": marker})
    return traces


def _betas(
    rate: Sequence[float], distortion: Sequence[float], curves: list[list[int]], betas: Sequence[Value]
) -> list[Trace]:
    """The values of beta at the points of the curves."""
    points = np.stack([drawable(rate), drawable(distortion)], axis=1)
    sides = label_sides(points, curves)
    if not sides:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers+text",
            "marker": {"size": 18, "opacity": 0},  # which keeps the text off the points
            "x": numbers(points[[*sides], 0]),
            "y": numbers(points[[*sides], 1]),
            "text": [short(betas[run]) for run in sides],
            "textposition": [
                f"{('bottom', 'middle', 'top')[above + 1]} {('left', 'center', 'right')[right + 1]}"
                for right, above in sides.values()
            ],
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]


def _finite(rate: Sequence[float], distortion: Sequence[float]) -> np.ndarray:
    points = np.stack([drawable(rate), drawable(distortion)], axis=1)
    return points[np.isfinite(points).all(axis=1)]
