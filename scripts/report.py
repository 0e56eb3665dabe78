"""The report of a sweep, at any time, also while it runs: <sweep>/report.html, a page with the ranking, figures and
failures, and <sweep>/summary.csv, a row per job. The best runs are printed.

python scripts/report.py sweep=outputs/sweeps/…
"""

from dataclasses import dataclass

from mnist_vae.cli.entry import start
from mnist_vae.cli.options import option
from mnist_vae.utils.io import shown


@dataclass
class ReportOptions:
    sweep: str = option(meaning="a sweep's folder; or any folder of runs; or a run's own")


def main(options: ReportOptions) -> None:
    from mnist_vae.sweeps.report import write_report
    from mnist_vae.sweeps.report.tables import overview
    from mnist_vae.sweeps.results import read_sweep

    sweep = read_sweep(options.sweep)
    path = write_report(sweep)
    print(overview(sweep))
    print(f"report: {shown(path)}")


if __name__ == "__main__":
    start(main, ReportOptions, __doc__)
