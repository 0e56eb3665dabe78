"""Print the script that a sweep with launcher=slurm would submit; nothing is submitted, and no cluster is needed.

python scripts/sbatch.py model=mlp,conv latent_dim=2,8 hydra.launcher.partition=gpu

takes what train.py takes after -m.
"""

import sys
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from mnist_vae.cli import entry
from mnist_vae.config import checks
from mnist_vae.config.error_messages import CONFIGS
from mnist_vae.utils.errors import SettingsError

# What submitit calls by the same name on every kind of cluster.
COMMON = {"timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name"}
COMMON |= {"stderr_to_stdout"}


def script(words: list[str]) -> str:
    """The text that sbatch would be given.

    Raises:
        SettingsError: submitit is not installed.
    """
    words = [word for word in words if word not in ("-m", "--multirun")]
    parser = OverridesParser.create()
    hydra = [word for word in words if word.startswith(("hydra.", "hydra/"))]
    fixed = [str(override.input_line) for override in parser.parse_overrides(words) if not override.is_sweep_override()]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = compose("train", ["launcher=slurm", *fixed], return_hydra_config=True)
        if not str(cfg.hydra.sweeper._target_).endswith(".GridSweeper"):
            raise SettingsError("this shows sweeps over given values; a search submits its trials a few at a time.")
        swept = [f"{key}={values}" for key, values in (cfg.hydra.sweeper.params or {}).items()]
        parsed = parser.parse_overrides([*swept, *(word for word in words if word not in hydra)])
        (jobs,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
        for job in jobs:
            checks.check(compose("train", ["launcher=slurm", *job, *hydra]))
    return _text(cfg, len(jobs))


def _text(cfg: DictConfig, jobs: int) -> str:
    try:
        from submitit.auto.auto import AutoExecutor
        from submitit.slurm import slurm as submitit_slurm
    except ModuleNotFoundError as error:
        raise SettingsError('this needs submitit; install it by: pip install -e ".[submitit]"') from error
    # It would ask whether this machine has srun.
    on_any_machine: Any = classmethod(lambda cls: 1)
    submitit_slurm.SlurmExecutor.affinity = on_any_machine  # type: ignore[method-assign]
    launcher: Any = OmegaConf.to_container(cfg.hydra.launcher, resolve=True)
    folder = launcher.pop("submitit_folder")
    launcher.pop("_target_")
    executor = AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=launcher.pop("max_num_timeout"))
    executor.update_parameters(**{key if key in COMMON else f"slurm_{key}": value for key, value in launcher.items()})
    slurm: Any = executor._executor
    slurm.parameters["map_count"] = jobs
    return slurm._make_submission_file_text(slurm._submitit_command_str, "sweep")


def main() -> None:
    print(script(sys.argv[1:]).strip())


if __name__ == "__main__":
    if {"--help", "-h"} & set(sys.argv[1:]):
        print((__doc__ or "").strip())
    else:
        entry.run(main)
