"""Typed schema of the configuration, and what Hydra is given to compose it. Imports nothing heavy."""

import os
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_vae.data.binarize import Binarize
from mnist_vae.utils.errors import SettingsError, first_line
from mnist_vae.utils.program import as_called

PACKAGE = Path(__file__).parents[1]
INSTALLED = PACKAGE / "configs"  # where a wheel has them; the repository has one folder of them, at its top
CONFIGS = INSTALLED if INSTALLED.is_dir() else PACKAGE.parents[1] / "configs"
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


class Device(Enum):
    """What to compute on."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"
    mps = "mps"


@dataclass
class Data:
    name: str = MISSING
    root: str = MISSING
    val_size: int = MISSING
    binarize: Binarize = MISSING
    source: Any = MISSING


@dataclass
class Accelerator:
    accelerator: Device = MISSING
    devices: int = MISSING  # processes, one per device; -1 is all devices of the machine
    num_nodes: int = MISSING  # machines, each with that many processes
    precision: str = MISSING


@dataclass
class Config:
    """The whole experiment. The groups typed Any hold a `_target_` and its arguments, which are checked
    against the signature of that target when it is built."""

    latent_dim: int = MISSING
    conditional: bool = MISSING
    beta: float = MISSING
    seed: int = MISSING
    max_epochs: int = MISSING
    batch_size: int = MISSING
    lr: float = MISSING
    model: Any = MISSING
    data: Data = field(default_factory=Data)
    objective: Any = MISSING
    likelihood: Any = MISSING
    prior: Any = MISSING
    posterior: Any = MISSING
    init: Any = MISSING
    optimizer: Any = MISSING
    schedule: Any = MISSING
    accelerator: Accelerator = field(default_factory=Accelerator)
    callbacks: Any = MISSING
    trainer: Any = MISSING
    logger: Any = MISSING
    monitor: str | None = MISSING  # None: the last epoch is the one to keep
    monitor_mode: str = MISSING
    init_from: str | None = None  # configs of earlier versions do not have it


def register() -> None:
    """Register the schema, by the name that configs/train.yaml gives it, Hydra's own settings, ${cores:}, ${program:}.

    configs/hydra/default.yaml takes the place of Hydra's defaults, so that it holds for every primary config, also for
    a finished run's own: `--config-path RUN/.hydra --config-name config`.
    """
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    settings = OmegaConf.load(CONFIGS / "hydra" / "default.yaml")
    assert isinstance(settings, DictConfig)
    node: Any = OmegaConf.structured(HydraConf)
    for group in ("job_logging", "hydra_logging"):  # as choices, so that hydra/job_logging=disabled works
        store.store(group=f"hydra/{group}", name="plain", node=settings.pop(group))
        node.defaults = [{group: "plain"} if group in one else one for one in node.defaults]
    node = OmegaConf.merge(node, settings)
    store.store(group="hydra", name="config", node=node, provider="hydra")
    store.repo = _Shared(store.repo)
    OmegaConf.register_new_resolver("cores", cores, replace=True)
    OmegaConf.register_new_resolver("program", lambda: as_called("python train.py"), replace=True)


class _Shared(dict[str, Any]):
    """The content of Hydra's ConfigStore, not copied.

    Hydra copies it for every group that --help lists, a hundred times, which takes most of a second. Nothing changes
    what it holds, since whatever is loaded from it is copied again.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Shared":
        return self


def groups() -> list[str]:
    """The names of the config groups."""
    return sorted(path.name for path in CONFIGS.iterdir() if path.is_dir())


def choices_of(group: str) -> list[str]:
    """The names of the choices in a config group."""
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def typed(cfg: DictConfig) -> DictConfig:
    """Give a config the types of the schema, if it has none: one that configs/train.yaml did not compose.

    Raises:
        SettingsError: it does not fit the schema.
    """
    if OmegaConf.get_type(cfg) is Config:
        return cfg
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Config), cfg)
    except OmegaConfBaseException as error:
        raise SettingsError(f"the config does not fit this project's schema: {first_line(error)}.") from error
    assert isinstance(merged, DictConfig)
    return merged


def cores() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
