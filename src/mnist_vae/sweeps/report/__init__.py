"""The report of a sweep: summary.csv, a row per job, and report.html, a page that needs nothing beside itself."""

from pathlib import Path

from mnist_vae.sweeps.results import Sweep, read_sweep
from mnist_vae.utils.errors import UnwritableError
from mnist_vae.utils.io import write_atomically


def write_report(sweep: Sweep | str | Path) -> Path:
    """Write summary.csv and report.html into a sweep's folder; at any time, also while it runs.

    Args:
        sweep: a folder that `read_sweep` can read, or what it has read.

    Returns:
        The path of report.html.

    Raises:
        RunFolderError: there is nothing to report, or the folder can't be written.
    """
    from mnist_vae.sweeps.report.page import page  # brings in matplotlib and jinja2
    from mnist_vae.sweeps.report.summary import summary_csv

    read = sweep if isinstance(sweep, Sweep) else read_sweep(sweep)
    path = read.folder / "report.html"
    summary, html = summary_csv(read), page(read)
    try:
        write_atomically(read.folder / "summary.csv", summary.encode(errors="replace"))
        write_atomically(path, html.encode(errors="replace"))
    except OSError as error:
        raise UnwritableError(error, error.filename, "copy the folder to another place") from error
    return path
