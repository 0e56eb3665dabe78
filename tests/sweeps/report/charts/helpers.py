"""Groups of made-up runs, and a check of what is handed to plotly.js."""

import json
from pathlib import Path
from typing import Any

from mnist_vae.sweeps.ranking import Group
from mnist_vae.sweeps.report.charts.chart import Chart
from mnist_vae.sweeps.results import read_sweep
from tests.synthetic import make_run


def group(folder: Path, *settings: dict[str, Any]) -> Group:
    """Complete runs with these settings, the first one the best."""
    for place, values in enumerate(settings):
        make_run(folder / str(place), -100.0 - place, kl=10.0 + place, **values)
    (found,) = read_sweep(folder).groups
    return found


def checked(chart: Chart | None) -> dict[str, Any]:
    """The chart's figure; Plotly's Python library refuses attributes and values that plotly.js does not know."""
    import plotly.graph_objects as go

    assert chart is not None and chart.pictures and chart.alt
    go.Figure(chart.figure)
    figure: dict[str, Any] = json.loads(json.dumps(chart.figure, allow_nan=False))
    return figure
