"""Learning curves of all runs on the same data, complete or not."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mnist_vae import figures
from mnist_vae.figures.sweeps import drawable
from mnist_vae.sweeps.job_results import Dataset, Job
from mnist_vae.sweeps.ranking import ABSURD, VALIDATION
from mnist_vae.sweeps.report.charts.chart import (
    AXIS,
    LAYOUT,
    MENU,
    Chart,
    Trace,
    coloured,
    legend_of,
    note_of,
    numbers,
    roomy,
    text,
    values,
    varying,
)
from mnist_vae.sweeps.report.pictures import embedded
from mnist_vae.sweeps.report.tables import LONGEST_NAME, anchor
from mnist_vae.sweeps.results import Sweep
from mnist_vae.utils.text import shortened

MOST_CURVES = 300
MOST_POINTS = 10_000  # of all curves of a metric together
MOST_METRICS = 8
FIRST = (VALIDATION, "val/loss", "train/elbo", "train/loss", "val/reconstruction", "val/kl", "val/active_units")
LABEL = 20  # characters of a metric's name


def comparable(sweep: Sweep) -> Iterator[tuple[Dataset, list[Job]]]:
    """The jobs with at least one epoch, by their data, without those that are set apart; the ranked ones first."""
    apart = {job.name for group in sweep.groups for job, _ in group.apart}
    ranked = [job for group in sweep.groups for job in group.jobs]
    names = {job.name for job in ranked} | apart
    found: dict[Dataset, list[Job]] = {}
    for job in (*ranked, *(job for job in sweep.jobs if job.name not in names)):
        if any(row.get(VALIDATION, 0.0) >= ABSURD for row in job.rows):
            found.setdefault(job.dataset, []).append(job)
    yield from found.items()


def learning_curves(jobs: Sequence[Job], keys: Sequence[str]) -> Chart:
    """A metric over epochs, a line per run, with menus for the metric and for the setting that colours the lines.

    Args:
        jobs: with at least one epoch each, the best first.
        keys: the sweep's varied keys.
    """
    note, jobs = note_of(MOST_CURVES, len(jobs), "run"), jobs[:MOST_CURVES]
    settings = {key: values(jobs, key) for key in varying(jobs, keys)}
    metrics = _metrics(jobs)
    rows = [_thinned(job, metrics[0], MOST_POINTS // len(jobs)) for job in jobs]
    epochs = [[row.get("epoch", float(place)) for place, row in enumerate(of_job, start=1)] for of_job in rows]
    measured = {name: [[row.get(name, math.nan) for row in of_job] for of_job in rows] for name in metrics}
    curves = list(zip(epochs, measured[metrics[0]], strict=True))
    traces, menus = coloured([_trace(job, *curve) for job, curve in zip(jobs, curves, strict=True)], settings, "line")
    if len(metrics) > 1:
        menus.append(_menu(measured))
    axes = {
        "xaxis": {**AXIS, **_scale(epochs), "title": {"text": "epoch", "standoff": 8}},
        "yaxis": {**AXIS, "title": {"text": text(metrics[0], LABEL), "standoff": 8}},
    }
    layout = {**LAYOUT, **axes, "updatemenus": menus, "legend": legend_of(settings)}
    key, of_jobs = next(iter(settings.items()), ("", []))
    picture = embedded(figures.learning_curves(curves, metrics[0], of_jobs, key))
    alt = f"{shortened(metrics[0], LONGEST_NAME)} over epochs, a line per run"
    return Chart({"data": traces, "layout": layout}, [picture], alt, height=460, note=note)


def _trace(job: Job, epochs: Sequence[float], measured: Sequence[float]) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines" if len(epochs) > 1 else "markers",
        "x": numbers(epochs),
        "y": numbers(measured),
        "connectgaps": True,  # of epochs without validation
        "text": text(job.name),
        "uid": anchor(job),
        "hovertemplate": "%{fullData.text}<br>epoch %{x}: %{y:.5g}<extra></extra>",
        "line": {"width": 1.6},
        "showlegend": False,
    }


def _scale(epochs: Sequence[Sequence[float]]) -> dict[str, Any]:
    """The axis of epochs: with room beside the first one and the last one, and no tick between two."""
    known = [float(epoch) for of_run in epochs for epoch in drawable(of_run) if math.isfinite(epoch)] or [1.0]
    return {"range": roomy(known, 0.04)} | ({"dtick": 1} if max(known) - min(known) <= 10 else {})


def _menu(measured: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, Any]:
    """The menu of metrics, each with its values of all runs."""
    buttons = [
        {
            "label": text(name, LABEL),
            "method": "update",
            "args": [
                {"y": [numbers(of_run) for of_run in of_runs]},
                {"yaxis.title.text": text(name, LABEL), "yaxis.autorange": True},
                [*range(len(of_runs))],
            ],
        }
        for name, of_runs in measured.items()
    ]
    return {**MENU, "x": 1, "xanchor": "right", "buttons": buttons}


def _metrics(jobs: Sequence[Job]) -> list[str]:
    """The metrics that runs have after each epoch: first that by which the first run chose its epoch."""
    known = dict.fromkeys(
        name for job in jobs for row in job.rows for name in row if name.startswith(("train/", "val/"))
    )
    names = [str(jobs[0].settings.get("monitor")), *FIRST]
    return [name for name in dict.fromkeys((*names, *known)) if name in known][:MOST_METRICS]


def _thinned(job: Job, metric: str, most: int) -> list[dict[str, float]]:
    """At most so many of a run's rows, the last one among them; of those that have the metric, if any has."""
    rows = [row for row in job.rows if metric in row] or job.rows
    return rows[:: len(rows) // -most][::-1]
