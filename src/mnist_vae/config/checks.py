"""Checks on the values of a config. Imports nothing heavy."""

import dataclasses
from collections.abc import Iterable

from omegaconf import DictConfig, OmegaConf

from mnist_vae.config.schema import PRECISIONS
from mnist_vae.utils.errors import SettingsError, unknown_key

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


def check(cfg: DictConfig) -> None:
    """Raise SettingsError unless every value is in range. What depends on a device or on the data is checked later."""
    for group, node in (
        ("", cfg),
        ("data.", cfg.data),
        ("accelerator.", cfg.accelerator),
    ):
        _check_names(node, group)
    for key, lowest in (
        ("latent_dim", 1),
        ("beta", 0),
        ("seed", 0),
        ("max_epochs", 1),
        ("batch_size", 1),
        ("data.val_size", 0),
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
    for group in ("trainer", "callbacks", "logger"):
        if not isinstance(cfg[group], DictConfig):
            raise SettingsError(f"{group}={cfg[group]}: it must be a mapping; {group}.name=value changes one entry.")


def check_overrides(cfg: DictConfig, overrides: Iterable[str]) -> None:
    """Raise SettingsError for a top-level key that was typed and has no effect.

    In a config whose interpolations are resolved, such as a finished run's own, another key has a value of its own.
    """
    typed = {override.partition("=")[0].lstrip("+") for override in overrides}
    for key, effective in EFFECTIVE.items():
        used = OmegaConf.select(cfg, effective)
        if key in typed and effective not in typed and used not in (None, OmegaConf.select(cfg, key)):
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
            raise SettingsError(f"{prefix}{name}: it has no value; it needs one.")
