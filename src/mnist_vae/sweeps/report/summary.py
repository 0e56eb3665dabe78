"""summary.csv: the values of all jobs, in full."""

import csv
import io

from mnist_vae.sweeps.frame import job_rows, settings_shown
from mnist_vae.sweeps.results import Sweep
from mnist_vae.sweeps.varied import written


def summary_csv(sweep: Sweep) -> str:
    """A row per job, see `job_rows`."""
    rows, settings = job_rows(sweep), settings_shown(sweep)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row | {key: "" if row[key] is None else written(row[key]) for key in settings})
    return text.getvalue()
