"""Build the pl.Trainer from the config's groups `trainer`, `accelerator` and `logger`."""

import inspect
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy

from mnist_vae.config.checks import BILLION, SET_ELSEWHERE
from mnist_vae.config.instantiate import instantiate
from mnist_vae.config.schema import Device
from mnist_vae.runs.checkpoints import AtomicCheckpointIO
from mnist_vae.runs.folder import RunFolder
from mnist_vae.utils.errors import SettingsError, unknown_key

MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")  # of torch.compile
# Whole numbers, and the least of each.
LEAST = {
    "max_epochs": -1,
    "max_steps": -1,
    "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1,
    "log_every_n_steps": 0,
}
COMPILATION = ("compile", "compile_mode")  # the entries of the group that are not arguments of pl.Trainer


def check_trainer(cfg: DictConfig) -> None:
    """Raise SettingsError if the group `trainer` has an unknown entry, or one that is set elsewhere."""
    known = [*inspect.signature(pl.Trainer).parameters, *COMPILATION]
    group = cfg.trainer
    for name in map(str, group):
        if name in SET_ELSEWHERE:
            raise SettingsError(f"trainer.{name}: {SET_ELSEWHERE[name]}.")
        if name not in known:
            raise SettingsError(unknown_key(f"trainer.{name}", [f"trainer.{other}" for other in known]))
    if group.get("enable_checkpointing") is False:
        raise SettingsError("trainer.enable_checkpointing=false: a run is tested and resumed from its checkpoints.")
    for name, least in LEAST.items():
        value = group.get(name, least)
        if value is None and name in ("max_epochs", "max_steps"):
            raise SettingsError(f"trainer.{name}=null: it must be a number; -1 sets no limit.")
        if value is not None and (type(value) is not int or not least <= value <= BILLION):
            raise SettingsError(
                f"trainer.{name}={value}: it must be a whole number, {least} or more, and at most {BILLION:,}."
            )
    if group.get("val_check_interval") == 0:
        raise SettingsError("trainer.val_check_interval=0: it must be a share of an epoch, or a number of batches.")
    clip = group.get("gradient_clip_val")
    if isinstance(clip, int | float) and clip < 0:
        raise SettingsError(f"trainer.gradient_clip_val={group.gradient_clip_val}: it must be 0 or more, or null.")
    if group.get("deterministic") not in (None, True, False, "warn"):
        raise SettingsError(f"trainer.deterministic={group.deterministic}: it must be true, false or warn.")
    for name in ("limit_train_batches", "limit_test_batches", "max_epochs", "max_steps"):
        if group.get(name) == 0:
            raise SettingsError(f"trainer.{name}=0: a run is trained and tested; it must not be 0.")
    if group.get("max_epochs", -1) == -1 and group.get("max_steps", -1) == -1 and group.get("max_time") is None:
        raise SettingsError("trainer.max_epochs=-1: set trainer.max_steps or trainer.max_time, or training never ends.")
    if not isinstance(group.get("compile", False), bool):
        raise SettingsError(f"trainer.compile={group.compile}: it must be true or false.")
    if group.get("compile_mode", MODES[0]) not in MODES:
        raise SettingsError(f"trainer.compile_mode={group.compile_mode}: it must be one of {', '.join(MODES)}.")
    _trainer(cfg, {"accelerator": "cpu", "logger": False}, LightningEnvironment())


def build_trainer(
    cfg: DictConfig, run: RunFolder, device: Device, processes: int, callbacks: list[pl.Callback], last_step: int
) -> pl.Trainer:
    """Build the trainer of a run.

    Args:
        processes: of this machine.
        last_step: the last step whose logged values are kept, when a run is resumed; -1 for none.

    Raises:
        SettingsError: pl.Trainer refuses an argument.
    """
    given = {
        "default_root_dir": run.path.absolute(),  # else Lightning would expand a ~ at its beginning
        "accelerator": device.value,
        "devices": processes,
        "num_nodes": cfg.accelerator.num_nodes,
        "strategy": DDPStrategy() if processes * cfg.accelerator.num_nodes > 1 else "auto",
        "precision": cfg.accelerator.precision,
        "logger": [] if cfg.trainer.get("fast_dev_run") else build_loggers(cfg, run, last_step),
        "callbacks": callbacks,
        "use_distributed_sampler": False,
    }
    # Processes are started by run_on_processes, also under SLURM, whose variables Lightning would go by.
    return _trainer(cfg, given, AtomicCheckpointIO(), LightningEnvironment())


def _trainer(cfg: DictConfig, given: dict[str, Any], *plugins: Any) -> pl.Trainer:
    """The trainer of the config's group and of `given`; nested targets of the group are built."""
    node: Any = {name: value for name, value in cfg.trainer.items() if name not in COMPILATION}
    if not cfg.data.val_size:
        node["limit_val_batches"] = 0
    chosen = node.pop("plugins", None) or []
    chosen = instantiate("trainer", OmegaConf.create({"_target_": f"{__name__}.as_list", "plugins": chosen}))
    node |= {"_target_": "pytorch_lightning.Trainer"}
    return instantiate("trainer", OmegaConf.create(node), **given, plugins=[*chosen, *plugins])


def as_list(plugins: Any) -> list[Any]:
    """One plugin or several as a list."""
    return list(plugins) if isinstance(plugins, list | tuple) else [plugins]


def build_loggers(cfg: DictConfig, run: RunFolder, last_step: int) -> list[pl.loggers.Logger]:
    """Build the loggers that the group `logger` lists; those that accept `folder` and `last_step` are given them."""
    return [
        instantiate(f"logger.{name}", node, pl.loggers.Logger, folder=str(run.path), last_step=last_step)
        for name, node in cfg.logger.items()
    ]
