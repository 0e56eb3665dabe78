"""Print the sbatch script of a sweep with launcher=slurm, without submitting it; no cluster is needed.

    python scripts/sbatch.py model=mlp,conv latent_dim=2,8 hydra.launcher.partition=gpu

The arguments are those of `python train.py -m`.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from mnist_vae.cli import entry, flags
from mnist_vae.config import checks
from mnist_vae.config.schema import CONFIGS
from mnist_vae.sweeps.sweeper import combinations
from mnist_vae.utils.compat import sbatch_script
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.program import as_called

# Parameters that submitit has on every kind of cluster; the others take the prefix slurm_.
COMMON = {"timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name"}
COMMON |= {"stderr_to_stdout"}


def script(words: list[str]) -> str:
    """Compose the sweep and return its sbatch script.

    Args:
        words: command-line overrides.

    Raises:
        SettingsError: an override is not valid, the sweep is a search, or submitit is not installed.
    """
    words = _overrides(words)
    parser = OverridesParser.create()
    hydra = [word for word in words if word.startswith(("hydra.", "hydra/"))]
    fixed = [str(override.input_line) for override in parser.parse_overrides(words) if not override.is_sweep_override()]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = compose("train", ["launcher=slurm", *fixed], return_hydra_config=True)
        if not str(cfg.hydra.sweeper._target_).endswith(".GridSweeper"):
            raise SettingsError("this shows sweeps over given values; a search submits its trials a few at a time.")
        swept = [f"{key}={values}" for key, values in (cfg.hydra.sweeper.params or {}).items()]
        parsed = parser.parse_overrides([*swept, *(word for word in words if word not in hydra)])
        jobs = combinations(parsed)
        for job in jobs:
            checks.check(compose("train", ["launcher=slurm", *job, *hydra]))
    return _text(cfg, len(jobs))


def _overrides(words: list[str]) -> list[str]:
    """The overrides among the words; the folder of --config-dir becomes one of them."""
    overrides = []
    arranged = iter(flags.arranged(words))
    for word in arranged:
        if word in ("--config-dir", "-cd"):
            overrides.append(f"hydra.searchpath=['file://{Path(next(arranged)).absolute()}']")
        elif word not in ("-m", "--multirun"):
            overrides.append(word)
    return overrides


def _text(cfg: DictConfig, jobs: int) -> str:
    """Text of the sbatch script for an array of `jobs` jobs."""
    try:
        from submitit.auto.auto import AutoExecutor
    except ModuleNotFoundError as error:
        raise SettingsError('this needs submitit; install it by: pip install -e ".[submitit]"') from error
    launcher: Any = OmegaConf.to_container(cfg.hydra.launcher, resolve=True)
    folder = launcher.pop("submitit_folder")
    launcher.pop("_target_")
    with _srun_on_path():
        executor = AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=launcher.pop("max_num_timeout"))
    executor.update_parameters(**{key if key in COMMON else f"slurm_{key}": value for key, value in launcher.items()})
    return sbatch_script(executor, jobs)


@contextmanager
def _srun_on_path() -> Iterator[None]:
    """Put an empty srun on PATH: submitit creates no executor without one, and nothing is run here."""
    before = os.environ.get("PATH", "")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "srun").touch(0o755)
        os.environ["PATH"] = os.pathsep.join([before, folder])
        try:
            yield
        finally:
            os.environ["PATH"] = before


def main() -> None:
    print(script(sys.argv[1:]).strip())


def command() -> None:
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(as_called((__doc__ or "").strip()))
    else:
        entry.run(main)
