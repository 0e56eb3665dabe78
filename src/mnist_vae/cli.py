"""The front door's manners: every error is one sentence on stderr and a non-zero exit code."""

import importlib
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mnist_vae import settings
from mnist_vae.errors import DataError, RunFolderError, SettingsError, UserError, first_line, unknown_key
from mnist_vae.runs import RunFolder
from mnist_vae.worker import describe

CONFIGS = Path(__file__).parents[2] / "configs"
FULL_ERROR = "HYDRA_FULL_ERROR"
SENTENCES = "MNIST_VAE_SENTENCES"  # set for this process and its workers while errors are told in one sentence

settings.register()
# Hydra copies this store for every group that --help lists, a hundred times; nothing changes what is in it, since
# whatever is loaded from it is copied again.
ConfigStore.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]


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


def job(cfg: DictConfig, function: str) -> Any:
    """Call `function(cfg, folder, hydra)` for Hydra's present job.

    A single run reports its own failure: at once, and without the traceback that nobody asked for. A job of a multirun
    runs in a process of its own; see jobs.run_job.

    Args:
        function: its dotted name. It is imported only now, so that `--help` and `--cfg` need not wait for torch.
    """
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        from mnist_vae.jobs import run_job

        return run_job(function, cfg)
    folder = Path(hydra.runtime.output_dir)
    try:
        settings.check(cfg)  # before the function's module imports torch: a wrong number is told at once
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


def sentence(error: BaseException, see: str = f"set {FULL_ERROR}=1 to see where") -> str:
    """What to tell the user about an error: which key, what is wrong, what would be right.

    Args:
        see: where to find the traceback of an error that nobody expected.
    """
    if isinstance(error, UserError):
        return str(error)
    plugin = re.search(r"Could not find 'hydra/launcher/(joblib|submitit|ray)", str(error))
    if plugin:
        extra = plugin[1]
        return f'launcher: it needs a plugin that is not installed; install it by: pip install -e ".[{extra}]"'
    if 'Could not detect "srun"' in str(error):
        return (
            "launcher=slurm: there is no srun on this machine; start the sweep where your cluster lets you submit "
            "jobs (python scripts/sbatch.py shows anywhere what would be submitted)."
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        return _no_such_choice(error.missing_cfg_file, list(error.options))
    if isinstance(error, OSError) and error.filename and not isinstance(error, HydraException):
        return f"{error.filename}: {error.strerror}; choose another output folder (of a run: hydra.run.dir=…)."
    if isinstance(error, ConfigCompositionException | OmegaConfBaseException):
        return _composition_sentence(error)
    if "Config group override must be" in str(error):
        return "a group is given the name of a choice, as in model=conv; --help lists the choices."
    if isinstance(error, HydraException) or "override" in str(error):
        return _one_line(error)
    if type(error).__name__ in ("OutOfMemoryError", "MemoryError") or "can't allocate memory" in str(error):
        return f"out of memory: a smaller model or batch_size, or fewer jobs at once, need less ({first_line(error)})."
    return f"{_one_line(error)} ({type(error).__name__}; this was not expected: {see})"


def _composition_sentence(error: Exception) -> str:
    unknown = re.match(r"Could not override '([^']+)'", str(error))
    if unknown:
        return _no_such_key(unknown[1])
    several = re.match(r"Ambiguous value for argument '([^']+)'", str(error))
    if several:
        return f"{several[1]}: several values make a sweep; add -m to the command, or write a list as [a,b]."
    value = re.match(r"Error merging override (.+)", str(error))
    if value and error.__cause__:
        return f"{value[1]}: {first_line(error.__cause__)}."
    return _one_line(error)


def _no_such_key(key: str) -> str:
    parent = key.rpartition(".")[0]
    siblings = [other for other in _known_keys() if other.rpartition(".")[0] == parent]
    if key in siblings:
        return f"{key}: not every choice made here has such a key; give it only where it belongs."
    return unknown_key(key, siblings)


def _no_such_choice(file: str, options: list[str]) -> str:
    group, _, name = file.rpartition("/")
    return f"{group}={name}: there is no such choice; {group} can be {', '.join(sorted(options))}."


def _known_keys() -> list[str]:
    """Every key and group of the config, under the choices of groups made on the command line."""
    groups = [path.name for path in CONFIGS.iterdir() if path.is_dir()]
    choices = [word for word in sys.argv[1:] if word.partition("=")[0] in groups and "," not in word]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        try:
            cfg = compose("train", overrides=choices)
        except Exception:  # the choices may be what is wrong
            cfg = compose("train")
    return sorted({*groups, *_keys(cfg)})


def _keys(node: DictConfig, prefix: str = "") -> list[str]:
    keys = []
    for name in map(str, node):
        keys.append(f"{prefix}{name}")
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none():
            keys += _keys(child, f"{prefix}{name}.")
    return keys


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _leave_no_trace(folder: Path) -> None:
    """Remove the folder that Hydra made for a run that never started, and the day's folder if it was the first."""
    runs = Path("outputs", "runs").resolve()
    for path in (folder, folder.parent):
        if any(path.iterdir()) or path == Path.cwd() or (path != folder and path.parent != runs):
            return
        path.rmdir()
