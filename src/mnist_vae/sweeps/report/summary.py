"""summary.csv: the values of all jobs, in full."""

import csv
import io

from mnist_vae.config.overrides import experiment_overrides
from mnist_vae.sweeps.job_results import State
from mnist_vae.sweeps.results import Sweep
from mnist_vae.sweeps.varied import written


def summary_csv(sweep: Sweep) -> str:
    """A row per job: its state, the rank of its configuration, its settings that vary or were given, all its metrics,
    and a note: its error, or why it has no rank."""
    given = (text.partition("=")[0].lstrip("+~") for job in sweep.jobs for text in experiment_overrides(job.overrides))
    keys = list(dict.fromkeys([*sweep.keys, *given]))
    metrics = list(dict.fromkeys(name for job in sweep.jobs for name in job.metrics))
    ranks, notes = _ranks(sweep), _notes(sweep)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", "state", "rank", *keys, *metrics, "note"])
    for job in sweep.jobs:
        settings = [written(job.settings[key]) if key in job.settings else "" for key in keys]
        numbers = [job.metrics.get(name, "") for name in metrics]
        writer.writerow(
            [job.name, job.state.value, ranks.get(job.name, ""), *settings, *numbers, notes.get(job.name, "")]
        )
    return text.getvalue()


def _ranks(sweep: Sweep) -> dict[str, int]:
    return {
        job.name: rank
        for group in sweep.groups
        if group.monitor
        for rank, configuration in enumerate(group.configurations, start=1)
        for job in configuration.jobs
    }


def _notes(sweep: Sweep) -> dict[str, str]:
    notes = {job.name: job.failure.error for job in sweep.of_state(State.failed) if job.failure}
    for group in sweep.groups:
        notes |= {job.name: f"set apart: {why}" for job, why in group.apart}
        if not group.monitor:
            notes |= {job.name: f"no rank: {group.unranked}" for job in group.jobs}
    return notes
