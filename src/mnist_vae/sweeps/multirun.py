"""A sweep in the process that started it: compose its jobs, launch those that are not complete, show progress."""

import io
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict
from tqdm import tqdm

from mnist_vae.config.checks import check_composed
from mnist_vae.config.hparams import epochs_planned
from mnist_vae.config.overrides import experiment_overrides, task_overrides
from mnist_vae.runs.folder import RunFolder
from mnist_vae.runs.warm_start import source_of
from mnist_vae.sweeps.folder_name import RESOLVER, folder_name
from mnist_vae.sweeps.job import Job
from mnist_vae.sweeps.progress import Watch
from mnist_vae.sweeps.results import read_plan
from mnist_vae.sweeps.worker import SWEEP
from mnist_vae.utils.errors import RunFolderError, SettingsError, UnwritableError, first_line
from mnist_vae.utils.io import locked, remove_temporary_files, shown, write_atomically, write_json


class Multirun:
    """The sweep in one folder, locked by this process.

    Args:
        config: Hydra's config of the multirun.
        context: Hydra's, which composes the jobs' configs.
        launcher: runs jobs, from a list of overrides for each.
    """

    def __init__(self, config: DictConfig, context: HydraContext, launcher: Launcher) -> None:
        self.config, self.context, self.launcher = config, context, launcher
        if not config.hydra.sweep.dir:
            raise SettingsError("hydra.sweep.dir: it is empty; it must be the folder that the sweep is to be in.")
        self.folder = Path(config.hydra.sweep.dir).absolute()
        self.lost: dict[str, str] = {}
        self.tried: set[str] = set()  # jobs with trainer.fast_dev_run, which leave nothing in their folders

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the sweep's folder.

        Raises:
            RunFolderError: another sweep is running in it, or it can't be written; or, in the end, a job's folder.
        """
        try:
            (self.folder / ".sweep").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableError(error, self.folder, "choose another folder by hydra.sweep.dir=…") from error
        with locked(self.folder / ".sweep" / "lock", self.folder):
            remove_temporary_files(self.folder, below=False)  # each job's folder has a lock of its own
            write_atomically(self.folder / "multirun.yaml", OmegaConf.to_yaml(self.config).encode())
            shutil.rmtree(self.folder / ".sweep" / "running", ignore_errors=True)  # left by a kill
            os.environ[SWEEP] = str(os.getpid())
            try:
                yield
            finally:
                del os.environ[SWEEP]
        if self.lost:
            reasons = "; ".join(f"{name} ({reason})" for name, reason in self.lost.items())
            raise RunFolderError(f"{len(self.lost)} jobs could not be run: {reasons}; the others have ended.")

    @contextmanager
    def watched(self, total: int) -> Iterator[None]:
        """Show progress on the console; if the sweep is interrupted or terminated, print how to continue it."""
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a scheduler sends
        try:
            with Watch(self.folder, total) as self.watch:
                yield
        except KeyboardInterrupt:
            print(f"\nstopped; the same command with hydra.sweep.dir={shown(self.folder)} continues", file=sys.stderr)
            raise
        finally:
            signal.signal(signal.SIGTERM, before)

    def jobs(self, combinations: Sequence[Sequence[str]]) -> list[Job]:
        """The jobs that the overrides describe, each once, named by them.

        Raises:
            HydraException: they can't be composed.
            SettingsError: a value is out of range, or two jobs would share a folder.
            RunFolderError: the folder of one belongs to another configuration.
        """
        jobs: dict[str, Job] = {}
        common = set.intersection(*map(set, combinations)) if len(combinations) > 1 else set()
        for number, overrides in enumerate(tqdm(combinations, "composing", leave=False, delay=2, disable=None)):
            varying = experiment_overrides(text for text in overrides if text not in common)
            job = self.job(overrides, number, varying)
            if jobs.setdefault(job.name, job).overrides != job.overrides:
                raise SettingsError(f"hydra.sweep.subdir={job.name}: two jobs would share this folder; leave it out.")
        return list(jobs.values())

    def job(self, overrides: Sequence[str], number: int, varying: Sequence[str], prefix: str = "") -> Job:
        """One job.

        Args:
            varying: the overrides in which it differs from the others; they come first in its name.
            prefix: what its name begins with.
        """
        cfg = self.composed(overrides)
        with open_dict(cfg):
            hydra = cfg.hydra
            cfg.hydra.job.num = cfg.hydra.job.id = number
            task = experiment_overrides(task_overrides(cfg.hydra))
            named = dict.fromkeys([*varying, *task])
            name = cfg.hydra.sweep.subdir if _is_chosen(cfg) else prefix + folder_name(named)
            output_subdir = cfg.hydra.output_subdir
            HydraConfig.instance().set_config(cfg)  # what ${hydra:…} refers to, as Hydra sets it when the job starts
            del cfg["hydra"]
        check_composed(cfg, hydra)
        if Path(name).is_absolute() or ".." in Path(name).parts or not Path(name).parts:
            raise SettingsError(f"hydra.sweep.subdir={name}: it must be a folder within hydra.sweep.dir.")
        run = RunFolder(self.folder / name, output_subdir)
        run.subfolder("train.log")  # what a launcher's process opens before anything else
        run.refuse_other_configuration(cfg, remedy="hydra.sweep.dir=…")
        source_of(cfg, run)
        # Name and number are fixed here, so that they do not depend on which jobs are left to do.
        launched = [*(_numbered(text, number) for text in overrides), f"hydra.sweep.subdir={_quoted(name)}"]
        return Job(name, " ".join(varying) or name, task, launched, run, epochs_planned(cfg))

    def composed(self, overrides: Sequence[str]) -> DictConfig:
        """Compose the config, with Hydra's part, from these overrides.

        Raises:
            HydraException: they can't be composed.
        """
        return self.context.config_loader.load_sweep_config(self.config, list(overrides))

    def run(self, jobs: Sequence[Job], at_once: int | None = None) -> None:
        """Run the jobs that are not complete. Results and failures are in their folders afterwards.

        Args:
            at_once: how many to hand to the launcher at a time; None for all.

        Raises:
            Exception: the launcher itself does not work.
        """
        self._plan(jobs)
        left = [job for job in jobs if self._is_to_be_run(job)]
        self.watch.add(jobs)
        while left:
            batch = left[:at_once]
            try:
                self._launch(batch)
            except Exception:
                # Some launchers stop all jobs when the process of one is killed, and don't say which.
                begun = [job for job in batch if not job.ended and job.mark(self.folder).exists()]
                if not begun and not any(job.ended for job in batch):
                    raise
                for job in begun:
                    self._launch_alone(job)
            left = [job for job in left if not (job.ended or job.name in self.lost or job.name in self.tried)]

    def _launch(self, jobs: Sequence[Job]) -> None:
        setup_globals()
        results = self.launcher.launch([job.launched for job in jobs], initial_job_idx=0)
        for job, result in zip(jobs, results, strict=True):
            returned = _return_value(result)
            if returned == {}:
                self.tried.add(job.name)
                self.watch.note(job, "ran without an error")
            elif not job.ended:  # e.g. the disk is full, and nothing could be written
                self._give_up(job, first_line(returned) if isinstance(returned, Exception) else "no reason is known")

    def _launch_alone(self, job: Job) -> None:
        try:
            self._launch([job])
        except Exception as error:
            self._give_up(job, first_line(error))

    def _is_to_be_run(self, job: Job) -> bool:
        """Whether the job is not complete. A failed one is tried again, and so is one whose result is damaged."""
        try:
            job.run.failure.unlink(missing_ok=True)
            if not job.run.complete:
                return True
            job.run.read_metrics()
        except RunFolderError:
            job.run.metrics.unlink()  # it is made again from the checkpoints
            return True
        except OSError as error:
            self.lost[job.name] = error.strerror or first_line(error)
        return False

    def _give_up(self, job: Job, reason: str) -> None:
        failure = {"error": f"the process that ran it ended without an answer ({reason}).", "type": "Killed"}
        try:
            job.mark(self.folder).unlink(missing_ok=True)
            job.run.path.mkdir(parents=True, exist_ok=True)
            job.run.write_failure(failure | {"traceback": "", "expected": True}, job.overrides)
        except OSError as error:
            self.lost[job.name] = f"{reason}; {error.strerror}"

    def _plan(self, jobs: Sequence[Job]) -> None:
        """Add the jobs to sweep.json, so that the report lists those that have not begun."""
        path = self.folder / "sweep.json"
        try:
            known = read_plan(path)
        except RunFolderError:
            known = {}  # it is damaged; these jobs are written anew
        write_json(path, {"jobs": known | {job.name: job.overrides for job in jobs}})


def _return_value(result: JobReturn) -> Any:
    """What a job returned, or the exception that it raised."""
    try:
        with redirect_stderr(io.StringIO()):  # Hydra prints there before it raises
            return result.return_value
    except Exception as error:
        return error


def _is_chosen(cfg: DictConfig) -> bool:
    """Whether the user chose hydra.sweep.subdir."""
    plain: Any = OmegaConf.to_container(cfg.hydra.sweep)
    return bool(plain["subdir"]) and not plain["subdir"].startswith(f"${{{RESOLVER}:")


def _numbered(override: str, number: int) -> str:
    """An override with the job's number in the place of references to it: launchers number the jobs that are left."""
    return override.replace("${hydra:job.num}", str(number)).replace("${hydra.job.num}", str(number))


def _quoted(text: str) -> str:
    """A string in Hydra's grammar of overrides."""
    return "'" + text.replace("'", r"\'") + "'"
