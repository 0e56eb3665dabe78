"""Typed schema of the configuration, and the checks on its values. Imports nothing heavy."""

import os
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from mnist_vae.data.binarize import Binarize

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
    optimizer: Any = MISSING
    schedule: Any = MISSING
    accelerator: Accelerator = field(default_factory=Accelerator)
    callbacks: Any = MISSING
    trainer: Any = MISSING
    logger: Any = MISSING
    monitor: str | None = MISSING  # None: the last epoch is the one to keep
    monitor_mode: str = MISSING


def register() -> None:
    """Make known to Hydra the schema, by the name that configs/train.yaml gives it, and ${cores:}."""
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("cores", cores, replace=True)


def cores() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
