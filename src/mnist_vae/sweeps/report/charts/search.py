"""The history of a search, and the importance of its hyperparameters, from the study in the sweep's folder."""

import importlib.util
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_vae import figures
from mnist_vae.figures.colours import BLUE, GREY, INK
from mnist_vae.figures.search import best_so_far
from mnist_vae.sweeps.job_results import Job
from mnist_vae.sweeps.report.charts.chart import AXIS, LAYOUT, LEGEND, TITLE, Chart, Trace, numbers, roomy, text
from mnist_vae.sweeps.report.pictures import embedded
from mnist_vae.sweeps.report.tables import anchor
from mnist_vae.sweeps.results import Sweep
from mnist_vae.sweeps.study import PROBLEM, STUDY, open_study
from mnist_vae.utils.text import number as written
from mnist_vae.utils.text import plural

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

LARGEST = 50_000_000  # bytes of a study that is read
FEWEST_TRIALS = 4  # whose results say anything about importance
MOST_BARS = 20

Points = list[tuple[int, float]]  # trials, as (number, metric)


@dataclass(frozen=True)
class Search:
    """What a study says.

    Attributes:
        metric: what is searched for.
        higher: whether a higher metric is better.
        ended: the trials that ran to their end.
        stopped: the trials that were stopped early, with their last metric.
        failed: how many trials failed.
        names: {number: the values that were drawn}.
        importances: {hyperparameter: share}, the largest first; empty if nothing can be said.
    """

    metric: str
    higher: bool
    ended: Points
    stopped: Points
    failed: int
    names: dict[int, str]
    importances: dict[str, float]

    @property
    def summary(self) -> str:
        """How many trials there are of each kind, and the best one; one sentence."""
        counts = (
            f"{plural(len(self.ended), 'trial')} to the end, {len(self.stopped)} stopped early, {self.failed} failed"
        )
        number, value = (max if self.higher else min)(self.ended, key=lambda trial: trial[1])
        return f"{counts}; the best {self.metric} is {written(value, 3)}, of trial {number}."


def read_search(folder: Path) -> Search | None:
    """Read the study in a sweep's folder, which can come from anyone.

    Returns:
        None if there is none, if it is damaged or has no complete trial, or if Optuna is not installed.
    """
    journal = folder / STUDY
    if importlib.util.find_spec("optuna") is None or not journal.is_file() or journal.stat().st_size > LARGEST:
        return None
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(open_study(folder))
    except Exception:  # a damaged study can raise anything
        return None
    finally:
        optuna.logging.set_verbosity(level)


def _read(study: Any) -> Search | None:
    import optuna
    from optuna.trial import TrialState

    trials = study.trials
    complete = [(trial.number, float(trial.value)) for trial in trials if trial.state is TrialState.COMPLETE]
    ended = [(number, value) for number, value in complete if math.isfinite(value)]
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED and trial.intermediate_values]
    stopped = [(trial.number, float(trial.intermediate_values[trial.last_step])) for trial in pruned]
    if not ended:
        return None
    try:
        importances = optuna.importance.get_param_importances(study) if len(ended) >= FEWEST_TRIALS else {}
    except Exception:  # such as of a hyperparameter that has a single value
        importances = {}
    return Search(
        metric=_metric(study.user_attrs.get(PROBLEM)),
        higher=study.direction is optuna.study.StudyDirection.MAXIMIZE,
        ended=ended,
        stopped=stopped,
        failed=sum(trial.state is TrialState.FAIL for trial in trials),
        names={trial.number: _name(trial) for trial in trials},
        importances={str(name): float(share) for name, share in list(importances.items())[:MOST_BARS]},
    )


def _metric(problem: Any) -> str:
    """The metric that a search notes as `maximize val/elbo`."""
    noted = [part.split(" ", 1) for part in problem or [] if isinstance(part, str)]
    return next((rest[0] for verb, *rest in noted if rest and verb in ("maximize", "minimize")), "metric")


def _name(trial: "FrozenTrial") -> str:
    drawn = (
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in trial.params.items()
    )
    return f"trial {trial.number}: {', '.join(drawn)}"


def history(search: Search, sweep: Sweep) -> Chart:
    """The metric of each trial, and the best one so far."""
    jobs = {job.name.partition(",")[0]: job for job in sweep.jobs}
    styles: list[tuple[str, Points, dict]] = [
        ("to the end", search.ended, {"color": BLUE, "size": 8}),
        ("stopped early", search.stopped, {"color": GREY, "size": 8, "symbol": "x-thin-open", "line": {"width": 1.5}}),
    ]
    traces = [_trials(search, jobs, name, points, marker) for name, points, marker in styles if points]
    best = {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": [number for number, _ in search.ended],
        "y": numbers(best_so_far([value for _, value in search.ended], search.higher)),
        "line": {"color": INK, "width": 1.5, "shape": "hv"},
        "hoverinfo": "skip",
    }
    tried, values = zip(*search.ended, *search.stopped, strict=True)
    axes = {
        "xaxis": {
            **AXIS,
            "range": roomy(tried, 0.04),
            "title": {"text": "trial", "standoff": 8},
        },
        "yaxis": {
            **AXIS,
            "range": roomy(values),
            "title": {"text": text(search.metric, TITLE), "standoff": 8},
        },
    }
    layout = {**LAYOUT, **axes, "legend": LEGEND, "margin": LAYOUT["margin"] | {"t": 36}}
    picture = embedded(figures.search_history(search.ended, search.stopped, search.higher, search.metric))
    return Chart({"data": [*traces, best], "layout": layout}, [picture], "The metric of each trial", height=400)


def _trials(search: Search, jobs: dict[str, Job], name: str, points: Points, marker: dict) -> Trace:
    found = [jobs.get(f"trial-{number:03d}") for number, _ in points]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [number for number, _ in points],
        "y": numbers([value for _, value in points]),
        "text": [text(search.names[number]) for number, _ in points],
        "customdata": [anchor(job) if job else "" for job in found],
        "hovertemplate": "%{text}<br>%{y:.5g}<extra></extra>",
        "marker": marker,
    }


def importance(search: Search) -> Chart | None:
    """A bar for each hyperparameter; None if nothing can be said."""
    if not search.importances:
        return None
    names, shares = list(search.importances), list(search.importances.values())
    places = [*range(len(names))]
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": places,
        "x": numbers(shares),
        "text": [f"{share:.2f}" for share in shares],
        "textposition": "auto",
        "marker": {"color": BLUE},
        "hoverinfo": "skip",
    }
    axes = {
        "xaxis": {**AXIS, "rangemode": "tozero", "title": {"text": "share of the importance", "standoff": 8}},
        "yaxis": {
            **AXIS,
            "autorange": "reversed",
            "tickvals": places,
            "ticktext": [text(name, TITLE) for name in names],
        },
    }
    layout = {**LAYOUT, **axes, "margin": LAYOUT["margin"] | {"t": 36}, "dragmode": False}
    picture = embedded(figures.hyperparameter_importance(search.importances))
    height = 110 + 30 * len(names)
    return Chart({"data": [bars], "layout": layout}, [picture], "The importance of each hyperparameter", height)
