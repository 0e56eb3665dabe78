"""A sweep as pandas DataFrames."""

from typing import TYPE_CHECKING, Any

from mnist_vae.config.overrides import experiment_overrides
from mnist_vae.sweeps.job_results import Job, State
from mnist_vae.sweeps.varied import written

if TYPE_CHECKING:
    import pandas

    from mnist_vae.sweeps.results import Sweep

TIMES = ("epoch", "step", "seconds")  # columns of metrics.csv that are no metrics


def jobs_frame(sweep: "Sweep") -> "pandas.DataFrame":
    """A row per job, see `job_rows`."""
    import pandas

    return pandas.DataFrame(job_rows(sweep), dtype=object).infer_objects()


def history_frame(sweep: "Sweep") -> "pandas.DataFrame":
    """The learning curves in long form: a row per job, epoch and metric, with the job's settings that vary."""
    import pandas

    rows = [
        {"job": job.name} | {key: _value(job, key) for key in sweep.keys} | row
        for job in sweep.jobs
        for row in job.rows
    ]
    fixed = ["job", *sweep.keys, *TIMES]
    wide = pandas.DataFrame(rows, dtype=object).infer_objects() if rows else pandas.DataFrame(columns=fixed)
    long = wide.melt(id_vars=[name for name in fixed if name in wide], var_name="metric")
    long = long.dropna(subset="value", ignore_index=True)
    times = [name for name in ("epoch", "step") if name in long]
    return long.assign(**{name: pandas.to_numeric(long[name], downcast="integer") for name in times})


def job_rows(sweep: "Sweep") -> list[dict[str, Any]]:
    """A row per job: its state, the rank of its configuration, its settings that vary or were given, all its metrics,
    its folder, and a note: its error, or why it has no rank. What a job does not have is None."""
    keys = settings_shown(sweep)
    metrics = list(dict.fromkeys(name for job in sweep.jobs for name in job.metrics))
    ranks, notes = _ranks(sweep), _notes(sweep)
    return [
        {"job": job.name, "state": job.state.value, "rank": ranks.get(job.name)}
        | {key: _value(job, key) for key in keys}
        | {name: job.metrics.get(name) for name in metrics}
        | {"folder": str(job.folder), "note": notes.get(job.name, "")}
        for job in sweep.jobs
    ]


def settings_shown(sweep: "Sweep") -> list[str]:
    """The settings that vary between jobs, and those that were given for them."""
    given = (text.partition("=")[0].lstrip("+~") for job in sweep.jobs for text in experiment_overrides(job.overrides))
    return list(dict.fromkeys([*sweep.keys, *given]))


def _value(job: Job, key: str) -> Any:
    value = job.settings.get(key)
    return written(value) if isinstance(value, list) else value


def _ranks(sweep: "Sweep") -> dict[str, int]:
    return {
        job.name: rank
        for group in sweep.groups
        if group.monitor
        for rank, configuration in enumerate(group.configurations, start=1)
        for job in configuration.jobs
    }


def _notes(sweep: "Sweep") -> dict[str, str]:
    outdated = "evaluation.json is not of these weights: run scripts/evaluate.py again"
    notes = {job.name: outdated for job in sweep.jobs if job.outdated_evaluation}
    notes |= {job.name: job.failure.error for job in sweep.of_state(State.failed) if job.failure}
    for group in sweep.groups:
        notes |= {job.name: f"set apart: {why}" for job, why in group.apart}
        if not group.monitor:
            notes |= {job.name: f"no rank: {group.unranked}" for job in group.jobs}
    return notes
