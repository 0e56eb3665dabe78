"""Checks on the values of a config. Imports nothing heavy."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from mnist_vae.config.instantiate import target_of
from mnist_vae.config.overrides import task_overrides
from mnist_vae.config.schema import PRECISIONS, choices_of, groups, typed
from mnist_vae.utils.errors import SettingsError, first_line, unknown_key

# Keys that take effect through an interpolation elsewhere.
EFFECTIVE = {
    "beta": "objective.beta",
    "lr": "optimizer.lr",
    "max_epochs": "trainer.max_epochs",
    "data.root": "data.source.root",
    "monitor": "callbacks.early_stopping.monitor",
}
# Arguments of pl.Trainer that other keys set.
SET_ELSEWHERE = {
    "accelerator": "it is set by accelerator=cpu, gpu, mps, ddp, …",
    "devices": "it is set by accelerator.devices",
    "num_nodes": "it is set by accelerator.num_nodes",
    "precision": "it is set by accelerator.precision",
    "strategy": "it is DDP for several processes; choose accelerator=ddp or ddp_cpu",
    "logger": "loggers are chosen by logger=tensorboard, or added by +logger.name={_target_: …}",
    "callbacks": "callbacks are added by +callbacks.name={_target_: …}",
    "default_root_dir": "it is the run's folder, set by hydra.run.dir",
    "use_distributed_sampler": "the data module splits each batch over the processes",
    "barebones": "it would leave a run without metrics and checkpoints",
}
MODES = ("max", "min")
BILLION = 1_000_000_000
# The least and the largest value of each number. Whole numbers beyond these overflow, or name more than there can be.
RANGES = {
    "latent_dim": (1, 1_000_000),
    "beta": (0, 1e30),  # the loss must be finite in single precision
    "seed": (0, float("inf")),
    "max_epochs": (1, BILLION),
    "batch_size": (1, BILLION),
    "data.val_size": (0, BILLION),
}


def check_composed(cfg: DictConfig, hydra: DictConfig) -> None:
    """Raise SettingsError unless a run's config, as Hydra has composed it, has only values that can be used.

    Args:
        hydra: Hydra's own part of it, which is in `cfg` no more.
    """
    check_references(cfg)
    cfg = typed(cfg)
    overrides = task_overrides(hydra)
    _check_choices(cfg, overrides)
    check_overrides(cfg, overrides)
    check(cfg)
    for group in ("callbacks", "logger"):
        for name, entry in cfg[group].items():
            target_of(f"{group}.{name}", entry)


def check_references(node: Any, inside: str = "", names: Iterable[Any] | None = None) -> None:
    """Raise SettingsError, with the key, for a value with a reference ${…} that can't be resolved, at any depth.

    Args:
        node: a mapping or list.
        inside: its own key.
        names: of the entries to check; None for all.
    """
    for name in names or (range(len(node)) if isinstance(node, ListConfig) else node):
        if isinstance(node, DictConfig) and OmegaConf.is_missing(node, name):
            continue
        key = f"{inside}[{name}]" if isinstance(node, ListConfig) else f"{inside}.{name}" if inside else str(name)
        try:
            value = node[name]
            if OmegaConf.is_interpolation(node, name):
                if OmegaConf.is_config(value):
                    OmegaConf.to_container(value, resolve=True)  # of a node that it is itself in
                continue  # what it refers to is checked where it stands
        except Exception as error:  # a resolver can raise anything
            raw: Any = OmegaConf.to_container(node, resolve=False)
            raise SettingsError(
                f"{key}={raw[name]}: the reference can't be resolved ({_reason(error)}); ${{key}} is the value of "
                "another key, ${oc.env:NAME} of an environment variable."
            ) from error
        if OmegaConf.is_config(value):
            check_references(value, key)


def _reason(error: Exception) -> str:
    """What OmegaConf says, without its words on the resolver's exception."""
    said = re.sub(r"^\w+ raised while resolving interpolation: ", "", first_line(error))
    return said.strip('"').rstrip(".")


def check(cfg: DictConfig) -> None:
    """Raise SettingsError unless every value is in range. What depends on a device or on the data is checked later."""
    for group, node in (
        ("", cfg),
        ("data.", cfg.data),
        ("accelerator.", cfg.accelerator),
    ):
        _check_names(node, group)
    for key, (least, most) in RANGES.items():
        value = OmegaConf.select(cfg, key)
        if not least <= value <= most or value == float("inf"):
            at_most = f"at most {most:,}" if isinstance(most, int) else f"at most {most:g}" if most < 1e99 else "finite"
            raise SettingsError(f"{key}={value}: it must be {least} or more, and {at_most}.")
    if not 0 < cfg.lr < float("inf"):
        raise SettingsError(f"lr={cfg.lr}: the learning rate must be above 0, and finite.")
    if cfg.accelerator.devices < 1 and cfg.accelerator.devices != -1:
        raise SettingsError(
            f"accelerator.devices={cfg.accelerator.devices}: it must be 1 or more, or -1 for all devices."
        )
    if cfg.accelerator.devices > cfg.batch_size:
        raise SettingsError(
            f"accelerator.devices={cfg.accelerator.devices}: a batch is split over the devices; it must be at most "
            f"batch_size={cfg.batch_size}."
        )
    if cfg.accelerator.num_nodes < 1:
        raise SettingsError(f"accelerator.num_nodes={cfg.accelerator.num_nodes}: it must be 1 or more.")
    if cfg.accelerator.precision not in PRECISIONS:
        raise SettingsError(
            f"accelerator.precision={cfg.accelerator.precision}: it must be one of {', '.join(PRECISIONS)}."
        )
    if cfg.monitor_mode not in MODES:
        raise SettingsError(f"monitor_mode={cfg.monitor_mode}: it must be max or min.")
    if cfg.monitor is not None and not cfg.monitor.startswith(("val/", "train/")):
        raise SettingsError(
            f"monitor={cfg.monitor}: it must be a metric of each epoch, such as val/elbo or train/loss, or null for "
            "the last epoch; the test images choose nothing."
        )
    if cfg.init_from == "":
        raise SettingsError("init_from=: it is empty; it must be a run's folder, or null for none.")
    for group in ("trainer", "callbacks", "logger"):
        if not isinstance(cfg[group], DictConfig):
            raise SettingsError(f"{group}={cfg[group]}: it must be a mapping; {group}.name=value changes one entry.")


def _check_choices(cfg: DictConfig, overrides: Iterable[str]) -> None:
    """Raise SettingsError where a group is given several choices that would be mixed, or the value {}."""
    for override in overrides:
        key, _, value = override.partition("=")
        one = key in ("data", "accelerator") or (key in groups() and OmegaConf.select(cfg, f"{key}._target_"))
        if one and value.startswith("[") and "," in value:
            raise SettingsError(f"{override}: it takes one choice, and several would be mixed into one.")
        if value == "{}" and OmegaConf.is_dict(OmegaConf.select(cfg, key)):
            hint = f"choose one of {', '.join(choices_of(key))}" if key in groups() else "~ before a key deletes it"
            raise SettingsError(f"{override}: a mapping is merged into what is there, and this one is empty; {hint}.")


def check_overrides(cfg: DictConfig, overrides: Iterable[str]) -> None:
    """Raise SettingsError for a top-level key that was typed and has no effect.

    In a config whose interpolations are resolved, such as a finished run's own, another key has a value of its own.
    """
    given = {override.partition("=")[0].lstrip("+") for override in overrides}
    for key, effective in EFFECTIVE.items():
        used = OmegaConf.select(cfg, effective)
        if key in given and effective not in given and used not in (None, OmegaConf.select(cfg, key)):
            raise SettingsError(
                f"{key}={OmegaConf.select(cfg, key)}: it has no effect, since {effective} has a value of its own here "
                f"({used}); set {effective} as well."
            )


def _check_names(node: DictConfig, prefix: str) -> None:
    """Raise SettingsError for a key that was added by + or removed by ~."""
    schema = OmegaConf.get_type(node)
    assert schema is not None
    known = [field.name for field in dataclasses.fields(schema)]
    for name in map(str, node):
        if name not in known:
            raise SettingsError(unknown_key(f"{prefix}{name}", [f"{prefix}{other}" for other in known]))
    for name in known:
        if OmegaConf.is_missing(node, name) or name not in node:
            hint = f"choose one of {', '.join(choices_of(name))}" if not prefix and choices_of(name) else "it needs one"
            raise SettingsError(f"{prefix}{name}: it has no value; {hint}.")
