"""Build the pl.Trainer from the config's groups `trainer`, `accelerator` and `logger`."""

import inspect
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy

from mnist_vae.config.checks import SET_ELSEWHERE
from mnist_vae.config.instantiate import instantiate
from mnist_vae.config.schema import Device
from mnist_vae.runs.checkpoints import AtomicCheckpointIO
from mnist_vae.runs.folder import RunFolder
from mnist_vae.utils.errors import SettingsError, first_line, unknown_key

COMPILATION = ("compile", "compile_mode")  # the entries of the group that are not arguments of pl.Trainer


def check_trainer(cfg: DictConfig) -> None:
    """Raise SettingsError if the group `trainer` has an unknown entry, or one that is set elsewhere."""
    known = [*inspect.signature(pl.Trainer).parameters, *COMPILATION]
    for name in map(str, cfg.trainer):
        if name in SET_ELSEWHERE:
            raise SettingsError(f"trainer.{name}: {SET_ELSEWHERE[name]}.")
        if name not in known:
            raise SettingsError(unknown_key(f"trainer.{name}", [f"trainer.{other}" for other in known]))
    if cfg.trainer.get("enable_checkpointing") is False:
        raise SettingsError("trainer.enable_checkpointing=false: a run is tested and resumed from its checkpoints.")
    for name in ("limit_train_batches", "limit_test_batches", "max_epochs", "max_steps"):
        if cfg.trainer.get(name) == 0:
            raise SettingsError(f"trainer.{name}=0: a run is trained and tested; it must not be 0.")
    if cfg.trainer.max_epochs == -1 and cfg.trainer.max_steps == -1 and cfg.trainer.max_time is None:
        raise SettingsError("trainer.max_epochs=-1: set trainer.max_steps or trainer.max_time, or training never ends.")


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
    arguments: Any = OmegaConf.to_container(cfg.trainer, resolve=True, enum_to_str=True)
    plugins = arguments.pop("plugins", None) or []
    for name in COMPILATION:
        arguments.pop(name)
    if not cfg.data.val_size:
        arguments["limit_val_batches"] = 0
    try:
        return pl.Trainer(
            **arguments,
            default_root_dir=run.path,
            accelerator=device.value,
            devices=processes,
            num_nodes=cfg.accelerator.num_nodes,
            strategy=DDPStrategy() if processes * cfg.accelerator.num_nodes > 1 else "auto",
            precision=cfg.accelerator.precision,
            logger=build_loggers(cfg, run, last_step),
            callbacks=callbacks,
            # Processes are started by run_on_processes, also under SLURM, whose variables Lightning would go by.
            plugins=[*plugins, AtomicCheckpointIO(), LightningEnvironment()],
            use_distributed_sampler=False,
        )
    except (TypeError, ValueError, pl.utilities.exceptions.MisconfigurationException) as error:
        raise SettingsError(f"trainer: {first_line(error)}") from error


def build_loggers(cfg: DictConfig, run: RunFolder, last_step: int) -> list[pl.loggers.Logger]:
    """Build the loggers that the group `logger` lists; those that accept `folder` and `last_step` are given them."""
    return [
        instantiate(f"logger.{name}", node, folder=str(run.path), last_step=last_step)
        for name, node in cfg.logger.items()
    ]
