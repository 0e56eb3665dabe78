"""Hydra callback of all commands: what is checked before a folder is made, and what a refused run leaves: nothing."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict

from mnist_vae.config import checks
from mnist_vae.config.error_messages import end, in_sentences
from mnist_vae.runs.folder import RunFolder, missing_folders, remove_empty
from mnist_vae.runs.warm_start import source_of
from mnist_vae.utils.errors import SettingsError


class StartChecks(Callback):
    """End the process with a sentence if the config of a command is wrong, and remove the empty folders of a run."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        _check(_check_run, config)
        self.new = missing_folders(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        _check(_check_multirun, config)

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        job_return: JobReturn = kwargs["job_return"]
        remove_empty(self.new)
        if job_return.status is JobStatus.FAILED and in_sentences():
            try:
                with redirect_stderr(io.StringIO()):  # Hydra prints a line there before it raises the job's error
                    _ = job_return.return_value
            except Exception as error:
                end(error)


def _check(check: Callable[[DictConfig], None], config: DictConfig) -> None:
    try:
        check(config)
    except Exception as error:
        end(error)  # of an exception raised in a callback Hydra would only warn


def _check_run(config: DictConfig) -> None:
    config = _checked_copy(config, "run")
    if not config.hydra.run.dir:
        raise SettingsError("hydra.run.dir: it is empty; it must be a folder, such as hydra.run.dir=. for this one.")
    run = RunFolder(config.hydra.run.dir)
    run.subfolder("train.log")  # Hydra opens it before the run begins
    hydra = config.hydra
    with open_dict(config):
        del config["hydra"]
    checks.check_composed(config, hydra)
    source_of(config, run)


def _check_multirun(config: DictConfig) -> None:
    """The jobs' configs are checked when they have been composed; see sweeps.multirun."""
    _checked_copy(config, "sweep.dir", "sweeper", "launcher")


def _checked_copy(config: DictConfig, *used: str) -> DictConfig:
    """A copy to resolve, after a check of the parts of Hydra's own config that the command uses."""
    config = config.copy()
    HydraConfig.instance().set_config(config)  # what ${hydra:…} refers to, as Hydra sets it when a job starts
    if config.hydra.output_subdir == ".hydra":
        raise SettingsError(
            "hydra.output_subdir=.hydra: the run itself writes .hydra, once the folder is known to be its own; leave "
            "it out, or choose another name for Hydra's own copy."
        )
    for key in used:
        group, _, name = f"hydra.{key}".rpartition(".")
        checks.check_references(OmegaConf.select(config, group), group, [name])
    return config
