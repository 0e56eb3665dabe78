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

from mnist_vae.cli import flags
from mnist_vae.cli.options import parse, usage
from mnist_vae.config import schema
from mnist_vae.config.error_messages import FULL_ERROR, SENTENCES, end
from mnist_vae.runs.failures import failures_noted
from mnist_vae.sweeps import folder_name
from mnist_vae.utils.program import as_called

Options = TypeVar("Options")

schema.register()
folder_name.register()


def run(main: Callable[[], Any], config_path_from_here: bool = False) -> None:
    """Call a function decorated by hydra.main; end the process with a sentence if it fails.

    Hydra's flags may stand anywhere among the overrides.

    With HYDRA_FULL_ERROR=1 in the environment the error is raised as it is.

    Args:
        config_path_from_here: --config-path is relative to the working folder. To Hydra it is relative to the file of
            `main`, which for an installed command is nowhere that a user knows.
    """

    def arranged() -> None:
        words = flags.arranged(sys.argv[1:])
        sys.argv[1:] = flags.config_path_from_here(words) if config_path_from_here else words
        main()

    _call(arranged)


def _call(main: Callable[[], Any]) -> None:
    if os.environ.get(FULL_ERROR) != "1":
        # Hydra prints errors in its own way unless its variable is set; then they come here instead.
        os.environ |= {FULL_ERROR: "1", SENTENCES: "1"}
        logging.raiseExceptions = False  # `python train.py | head` must not end in tracebacks of the logging module
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        end(error)


def start(main: Callable[[Options], None], schema: type[Options], doc: str | None) -> None:
    """Run a tool on the command line's words: `--help`, or key=value; every error is printed as one sentence."""
    words = sys.argv[1:]
    if {"--help", "-h"} & set(words):
        print(as_called(usage(schema, doc or "")))
        return
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("mnist_vae").setLevel(logging.INFO)
    _call(lambda: main(parse(schema, words)))


def job(cfg: DictConfig, function: str) -> Any:
    """Call `function(cfg, folder, hydra)` for Hydra's present job.

    Its config was checked before its folder was made, by cli.start_checks, which also prints the error of a single
    run. A job of a multirun runs in a process of its own; see sweeps.job.run_job.

    Args:
        function: its dotted name. It is imported only now, so that `--help` and `--cfg` need not wait for torch.
    """
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        from mnist_vae.sweeps.job import run_job

        return run_job(function, schema.typed(cfg))
    folder = Path(hydra.runtime.output_dir)
    module, _, name = function.rpartition(".")
    try:
        with failures_noted(folder, hydra):
            return getattr(importlib.import_module(module), name)(schema.typed(cfg), folder, hydra)
    except KeyboardInterrupt:
        print(f"\nstopped; the same command with hydra.run.dir={folder} continues", file=sys.stderr)
        raise
