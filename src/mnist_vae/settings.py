"""Typed schema of the configuration, and the checks on its values. Imports nothing heavy."""

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf

from mnist_vae.errors import SettingsError, unknown_key

# Where the images lie says nothing about the experiment, so a run may be finished on another machine.
NOT_THE_EXPERIMENT = ("data.root", "data.source.root", "data.source.mirror")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


class Binarize(Enum):
    """How grey levels become the pixels that the model sees."""

    none = "none"  # grey levels, as probabilities
    dynamic = "dynamic"  # drawn anew each time an image is seen: Salakhutdinov & Murray (2008)
    threshold = "threshold"  # 1 above one half


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
    cuda_graph: bool = MISSING  # record a step's kernels, and launch them together
    precision: str = MISSING


@dataclass
class Logger:
    log_every_n_steps: int = MISSING
    backend: Any = MISSING


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
    logger: Logger = field(default_factory=Logger)


def register() -> None:
    """Make known to Hydra the schema, by the name that configs/train.yaml gives it, and ${cores:}."""
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("cores", cores, replace=True)


def cores() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choice(node: DictConfig) -> str:
    """The short name of what a node's `_target_` names, such as mlp for mnist_vae.networks.mlp.MLP."""
    return str(node["_target_"]).rpartition(".")[2].lower()


def beta_of(cfg: DictConfig) -> float:
    """The weight of the KL term: the objective's own where it has one."""
    return float(cfg.objective.get("beta", cfg.beta))


def headline(cfg: DictConfig, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """What tells one run from another: model, data, latent size, beta, seed, and whatever was set on the command line.

    Args:
        overrides: `key=value` as typed; keys that say where things lie, not what is done, are left out.
    """
    keys = {"model": choice(cfg.model), "data": cfg.data.name, "latent_dim": "", "beta": "", "seed": ""}
    keys |= {key.lstrip("+~"): text for key, _, text in (override.partition("=") for override in overrides)}
    values: dict[str, Any] = {}
    for key, typed in keys.items():
        value = OmegaConf.select(cfg, key)
        if isinstance(value, Enum):
            value = value.name
        elif isinstance(value, ListConfig):
            value = str(list(value))
        elif not isinstance(value, int | float | str):  # a group, or nothing that is left in the config
            value = typed
        if key not in NOT_THE_EXPERIMENT and not key.startswith("hydra"):
            values[key] = value
    return values | {"beta": beta_of(cfg)}


def check(cfg: DictConfig) -> None:
    """Raise SettingsError unless every value is in range. What only a device or the data can tell comes later."""
    for group, node in (
        ("", cfg),
        ("data.", cfg.data),
        ("accelerator.", cfg.accelerator),
        ("logger.", cfg.logger),
    ):
        _check_names(node, group)
    for key, lowest in (
        ("latent_dim", 1),
        ("beta", 0),
        ("seed", 0),
        ("max_epochs", 1),
        ("batch_size", 1),
        ("data.val_size", 0),
        ("logger.log_every_n_steps", 1),
    ):
        group, _, name = key.rpartition(".")
        value = (cfg[group] if group else cfg)[name]
        if not lowest <= value < float("inf"):
            raise SettingsError(f"{key}={value}: it must be {lowest} or more, and finite.")
    if not 0 < cfg.lr < float("inf"):
        raise SettingsError(f"lr={cfg.lr}: the learning rate must be above 0, and finite.")
    if cfg.accelerator.devices < 1 and cfg.accelerator.devices != -1:
        raise SettingsError(
            f"accelerator.devices={cfg.accelerator.devices}: it must be 1 or more, or -1 for all devices."
        )
    if cfg.accelerator.num_nodes < 1:
        raise SettingsError(f"accelerator.num_nodes={cfg.accelerator.num_nodes}: it must be 1 or more.")
    if cfg.accelerator.cuda_graph and cfg.accelerator.accelerator is not Device.gpu:
        raise SettingsError("accelerator.cuda_graph=true: only a GPU's steps can be recorded; choose accelerator=gpu.")
    if cfg.accelerator.precision not in PRECISIONS:
        raise SettingsError(
            f"accelerator.precision={cfg.accelerator.precision}: it must be one of {', '.join(PRECISIONS)}."
        )


def _check_names(node: DictConfig, prefix: str) -> None:
    """Raise SettingsError for a key that was added by +, or taken away by ~."""
    schema = OmegaConf.get_type(node)
    assert schema is not None
    known = [field.name for field in dataclasses.fields(schema)]
    for name in map(str, node):
        if name not in known:
            raise SettingsError(unknown_key(f"{prefix}{name}", [f"{prefix}{other}" for other in known]))
    for name in known:
        if OmegaConf.is_missing(node, name) or name not in node:
            raise SettingsError(f"{prefix}{name}: it has no value; it needs one.")


def check_batch_size(batch_size: int, train_size: int, dataset: str) -> None:
    """Raise SettingsError if no batch can be filled from the training split."""
    if batch_size > train_size:
        raise SettingsError(
            f"batch_size={batch_size}: the training split of {dataset} has {train_size} images; "
            f"batch_size must be at most {train_size}."
        )
