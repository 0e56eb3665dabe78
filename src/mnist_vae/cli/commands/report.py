"""Write the report of a sweep, finished or running, and print its best runs.

    python scripts/report.py sweep=outputs/sweeps/…

<sweep>/report.html: ranking, figures and failures. <sweep>/summary.csv: a row per job.
"""

from dataclasses import dataclass

from mnist_vae.cli.entry import start
from mnist_vae.cli.options import option
from mnist_vae.utils.io import shown


@dataclass
class ReportOptions:
    sweep: str = option(meaning="folder of a sweep, of a run, or any folder that contains runs")


def main(options: ReportOptions) -> None:
    from mnist_vae.sweeps.report import write_report
    from mnist_vae.sweeps.report.overview import overview
    from mnist_vae.sweeps.results import read_sweep

    sweep = read_sweep(options.sweep)
    path = write_report(sweep)
    print(overview(sweep))
    print(f"report: {shown(path)}")


def command() -> None:
    start(main, ReportOptions, __doc__)
