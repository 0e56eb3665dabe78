"""Hydra callback of all commands: a multirun's report when it ends."""

import shlex
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from mnist_vae.config.error_messages import sentence

MOST_NAMES = 20  # of failed jobs in one message
LONGEST_NAME = 200  # characters


class MultirunReport(Callback):
    """Write a multirun's report, and end the process with an error that names the failed jobs, if there are any."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        try:
            failed, total = _report(folder, bool(OmegaConf.select(config, "trainer.fast_dev_run")))
        except Exception as error:
            sys.exit(f"error: the report could not be made: {sentence(error)}")
        if failed:
            more = f" · and {len(failed) - MOST_NAMES} more, in the report" if len(failed) > MOST_NAMES else ""
            sys.exit(f"error: {len(failed)} of {total} jobs failed: {' · '.join(failed[:MOST_NAMES])}{more}")


def _report(folder: Path, fast_dev_run: bool) -> tuple[list[str], int]:
    """Write the report and print a summary; return the names of the failed jobs, and the number of jobs."""
    # Not above: Hydra imports this file for every command, --help too.
    from mnist_vae.sweeps.report import write_report
    from mnist_vae.sweeps.report.overview import overview
    from mnist_vae.sweeps.results import State, read_sweep
    from mnist_vae.utils.io import shown
    from mnist_vae.utils.text import shortened

    sweep = read_sweep(folder)
    rule = "─" * 72
    if fast_dev_run:
        print(rule, "trainer.fast_dev_run: nothing was kept", rule, sep="\n")
    else:
        report = write_report(sweep)
        print(rule, overview(sweep), sep="\n")
        print(f"report   {shown(report)}\ncurves   tensorboard --logdir {shlex.quote(shown(folder))}", rule, sep="\n")
    return [shortened(job.name, LONGEST_NAME) for job in sweep.of_state(State.failed)], len(sweep.jobs)
