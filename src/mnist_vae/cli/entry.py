"""Command-line entry: start a run or a tool; every error is one sentence on stderr and a non-zero exit code."""

import importlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from mnist_vae.cli.options import parse, usage
from mnist_vae.config import checks, schema
from mnist_vae.config.error_messages import FULL_ERROR, describe, sentence
from mnist_vae.runs.folder import RunFolder
from mnist_vae.sweeps import folder_name
from mnist_vae.utils.errors import DataError, RunFolderError, SettingsError

Options = TypeVar("Options")
SENTENCES = "MNIST_VAE_SENTENCES"  # set for this process and its workers while errors are printed as one sentence

schema.register()
folder_name.register()


def run(main: Callable[[], Any]) -> None:
    """Call a function decorated by hydra.main; end the process with a sentence if it fails.

    With HYDRA_FULL_ERROR=1 in the environment the error is raised as it is.
    """
    if os.environ.get(FULL_ERROR) != "1":
        # Hydra prints errors in its own way unless its variable is set; then they come here instead.
        os.environ |= {FULL_ERROR: "1", SENTENCES: "1"}
        logging.raiseExceptions = False  # `python train.py | head` must not end in tracebacks of the logging module
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if not _in_sentences():
            raise
        sys.exit(f"error: {sentence(error)}")


def start(main: Callable[[Options], None], schema: type[Options], doc: str | None) -> None:
    """Run a tool on the command line's words: `--help`, or key=value; every error is printed as one sentence."""
    words = sys.argv[1:]
    if {"--help", "-h"} & set(words):
        print(usage(schema, doc or ""))
        return
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("mnist_vae").setLevel(logging.INFO)
    run(lambda: main(parse(schema, words)))


def job(cfg: DictConfig, function: str) -> Any:
    """Call `function(cfg, folder, hydra)` for Hydra's present job.

    A single run prints its own failure, without a traceback. A job of a multirun runs in a process of its own; see
    sweeps.job.run_job.

    Args:
        function: its dotted name. It is imported only now, so that `--help` and `--cfg` need not wait for torch.
    """
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        from mnist_vae.sweeps.job import run_job

        return run_job(function, schema.typed(cfg))
    folder = Path(hydra.runtime.output_dir)
    try:
        cfg = schema.typed(cfg)
        checks.check_overrides(cfg, hydra.overrides.task)
        checks.check(cfg)  # before the function's module imports torch: a wrong number is reported at once
        module, _, name = function.rpartition(".")
        return getattr(importlib.import_module(module), name)(cfg, folder, hydra)
    except KeyboardInterrupt:
        print(f"\nstopped; the same command with hydra.run.dir={folder} continues", file=sys.stderr)
        raise
    except Exception as error:
        # An error of these kinds comes before the run begins: then the folder may be another run's.
        if isinstance(error, SettingsError | DataError | RunFolderError):
            _leave_no_trace(folder)
        else:
            RunFolder(folder).write_failure(describe(error), list(hydra.overrides.task))
        if not _in_sentences():
            raise
        sys.exit(f"error: {sentence(error)}")  # here, for Hydra would add a line of its own


def _in_sentences() -> bool:
    return os.environ.get(SENTENCES) == "1"


def _leave_no_trace(folder: Path) -> None:
    """Remove the folder that Hydra made for a run that never started, and the day's folder if it was the first."""
    runs = Path("outputs", "runs").resolve()
    for path in (folder, folder.parent):
        if any(path.iterdir()) or path == Path.cwd() or (path != folder and path.parent != runs):
            return
        path.rmdir()
