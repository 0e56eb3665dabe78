"""One job of a sweep, in the process that the launcher chose: run it, and keep its failure from the others."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mnist_vae.config import checks
from mnist_vae.config.error_messages import describe
from mnist_vae.config.overrides import task_overrides
from mnist_vae.runs.folder import RunFolder
from mnist_vae.sweeps import worker
from mnist_vae.training.cluster import node_rank
from mnist_vae.utils.io import write_json
from mnist_vae.utils.text import scores


def run_job(function: str, cfg: DictConfig) -> dict[str, Any]:
    """Run `function(cfg, folder, hydra)` in the worker process; return what it returns.

    A complete job is not run again: its stored metrics are returned. An error is not raised, but written to the job's
    failed.json, and {"failure": …} is returned, so that no launcher stops at it.

    Args:
        function: its dotted name; it is imported in the worker only.

    Raises:
        OSError: nothing can be written in the sweep's folder.
    """
    hydra: Any = HydraConfig.get()
    run = RunFolder(hydra.runtime.output_dir, hydra.output_subdir)
    if node_rank(cfg.accelerator.num_nodes) > 0:  # only the first machine writes to the folder
        return _outcome(function, cfg, run, hydra).get("result", {})
    with _marked_as_running(run.path, Path(hydra.sweep.subdir)):
        answer = _outcome(function, cfg, run, hydra)
        if "failure" in answer:
            run.write_failure(answer["failure"], task_overrides(hydra))
    if worker.SWEEP not in os.environ:  # Hydra's own sweepers show no progress
        print(f"{hydra.sweep.subdir}   {_summary(answer)}", flush=True)
    return answer.get("result", answer)


def _summary(answer: dict[str, Any]) -> str:
    if "failure" in answer:
        return f"failed: {answer['failure']['error']}"
    return scores(answer["result"]) or "ran without an error"


def _outcome(function: str, cfg: DictConfig, run: RunFolder, hydra: DictConfig) -> dict[str, Any]:
    try:
        checks.check_overrides(cfg, task_overrides(hydra))
        checks.check(cfg)  # before the worker imports torch: a wrong number is reported at once
        OmegaConf.resolve(cfg)  # in this process, where ${hydra:…} has a value
        run.refuse_other_configuration(cfg, remedy="hydra.sweep.dir=…")
        if run.complete:
            return {"result": run.read_metrics()}
        # As plain data: its types are of plugins, which the worker may not know by the same names.
        plain = OmegaConf.create(OmegaConf.to_container(hydra, enum_to_str=True))
        request = {"function": function, "cfg": cfg, "folder": str(run.path), "hydra": plain}
        return worker.call(request | {"logging": _logging_without_console(hydra)})
    except Exception as error:
        return {"failure": describe(error)}


def _logging_without_console(hydra: DictConfig) -> dict[str, Any]:
    """Hydra's logging of a job, but to its file only: the console belongs to the sweep."""
    config: Any = OmegaConf.to_container(hydra.job_logging, resolve=True)
    for logger in (config.get("root") or {}, *config.get("loggers", {}).values()):
        logger["handlers"] = [name for name in logger.get("handlers", []) if name != "console"]
    config.get("handlers", {}).pop("console", None)
    return config


@contextmanager
def _marked_as_running(folder: Path, name: Path) -> Iterator[None]:
    """Write host and process of the job to a file while it runs; if the process has ended without it, it was killed."""
    mark = running_mark(folder.parents[len(name.parts) - 1], name)
    write_json(mark, {"host": socket.gethostname(), "process": os.getpid()})
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def running_mark(sweep: Path, name: str | Path) -> Path:
    """The file that exists while the job of that name runs."""
    return sweep / ".sweep" / "running" / name


@dataclass
class Job:
    """One job of a sweep.

    Args:
        name: of its folder within the sweep's.
        label: the overrides in which it differs from the others.
        overrides: those of the experiment.
        launched: what a launcher is given to run it.
        run: its folder.
        epochs: how many it is to train.
    """

    name: str
    label: str
    overrides: list[str]
    launched: list[str]
    run: RunFolder
    epochs: int

    @property
    def ended(self) -> bool:
        """Whether it is complete or has failed."""
        return self.run.complete or self.run.failure.exists()

    def mark(self, sweep: Path) -> Path:
        """The file that exists while it runs."""
        return running_mark(sweep, self.name)
