"""What happens when a multirun ends: its report, a short summary, and the exit code."""

import shlex
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from mnist_vae.config.error_messages import sentence

MOST_NAMES = 20  # of failed jobs in one message


class Closing(Callback):
    """Makes the sweep's report, and ends the process with an error that names the jobs that failed, if some did."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            failed, total = _close(Path(config.hydra.sweep.dir))
        except Exception as error:  # Hydra would only warn
            sys.exit(f"error: the report could not be made: {sentence(error)}")
        if failed:
            more = f" · and {len(failed) - MOST_NAMES} more, in the report" if len(failed) > MOST_NAMES else ""
            sys.exit(f"error: {len(failed)} of {total} jobs failed: {' · '.join(failed[:MOST_NAMES])}{more}")


def _close(folder: Path) -> tuple[list[str], int]:
    """The names of the jobs that failed, and how many jobs there are."""
    # Not above: Hydra imports this file for every command, --help too.
    from mnist_vae.sweeps.report import write_report
    from mnist_vae.sweeps.report.tables import overview
    from mnist_vae.sweeps.results import State, read_sweep
    from mnist_vae.utils.io import shown

    sweep = read_sweep(folder)
    report = write_report(sweep)
    rule = "─" * 72
    print(rule, overview(sweep), sep="\n")
    print(f"report   {shown(report)}\ncurves   tensorboard --logdir {shlex.quote(shown(folder))}", rule, sep="\n")
    return [job.name for job in sweep.of_state(State.failed)], len(sweep.jobs)
