"""The objects that a config names, built and checked before anything is written."""

import difflib
import math
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from mnist_vae.config.build import build_data, build_lr_factor, build_optimizer, parameter_groups
from mnist_vae.config.combinations import check_combination
from mnist_vae.config.hparams import Choices, epochs_planned
from mnist_vae.config.instantiate import check_node, instantiate, locate
from mnist_vae.data.images import mean_pixel
from mnist_vae.training.loggers import TERMS, require
from mnist_vae.training.module import VAEModule
from mnist_vae.training.quiet import quiet_lightning
from mnist_vae.training.trainer import check_trainer
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.seeding import seed_everything

# Modules of callbacks that log no metric; any other callback may be one that does.
LOG_NOTHING = (
    "pytorch_lightning.",
    "mnist_vae.training.callbacks.ema",
    "mnist_vae.training.callbacks.epoch_images",
    "mnist_vae.sweeps.pruning",
)


class Experiment:
    """A config's data, module and callbacks.

    Args:
        choices: the choice made in each config group.
        overrides: `key=value` as typed, those that are part of the experiment.

    Raises:
        DataError: the images are not available.
        SettingsError: a value of the config is wrong.
    """

    def __init__(self, cfg: DictConfig, choices: Choices, overrides: Sequence[str] = ()) -> None:
        with quiet_lightning():
            check_trainer(cfg)
        self.cfg, self.choices, self.overrides = cfg, choices, overrides
        self.data = build_data(cfg)
        seed_everything(cfg.seed)  # so that the initial weights depend on the seed alone
        plain: Any = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
        images, _ = self.data.train_split
        self.module = VAEModule(plain, self.data.image_shape, len(self.data.classes), len(images), mean_pixel(images))
        build_optimizer(cfg, parameter_groups(self.module, self.module.objective))
        limited = cfg.trainer.get("max_epochs") != -1 or cfg.trainer.get("max_steps", -1) != -1
        build_lr_factor(cfg, epochs_planned(cfg) if limited else math.inf)
        check_combination(cfg, choices, self.module.vae, self.module.objective)
        if cfg.trainer.get("compile"):
            self.module.compile_inference(cfg.trainer.get("compile_mode", "default"))
        for name, node in cfg.logger.items():
            check_node(f"logger.{name}", node, pl.loggers.Logger, folder="", last_step=-1)
            require(f"logger.{name}", locate(f"logger.{name}", node))
        self.callbacks = [self._callback(f"callbacks.{name}", node) for name, node in cfg.callbacks.items()]
        self._check_monitors()

    def _callback(self, key: str, node: DictConfig) -> pl.Callback:
        """Build a callback; raise SettingsError if the metric that it monitors is null, or of an absent split."""
        if isinstance(node, DictConfig) and "monitor" in node and node.monitor is None:
            raise SettingsError(
                f"{key}.monitor: it is null, as the key monitor is here: the last epoch is kept; name a metric of each "
                f"epoch, such as {key}.monitor=val/elbo."
            )
        callback = instantiate(key, node, pl.Callback)
        if isinstance(callback, pl.callbacks.EarlyStopping) and callback.patience < 0:
            raise SettingsError(f"{key}.patience={callback.patience}: it must be 0 or more.")
        is_validated = self.cfg.data.val_size and self.cfg.trainer.get("limit_val_batches") != 0
        if str(getattr(callback, "monitor", "")).startswith("val/") and not is_validated:
            raise SettingsError(
                f"callbacks: {type(callback).__name__} monitors {callback.monitor}, and data.val_size=0 or "
                "trainer.limit_val_batches=0 leaves no images to validate on; hold images out, or choose "
                "callbacks=default."
            )
        return callback

    def _check_monitors(self) -> None:
        """Raise SettingsError if a metric is monitored that nothing logs.

        With a callback that may log any metric, a missing one is found after the first epoch.
        """
        if any(not type(callback).__module__.startswith(LOG_NOTHING) for callback in self.callbacks):
            return
        known = metrics_of_epochs(self.module)
        monitored = {"monitor": self.cfg.monitor}
        for (name, _), callback in zip(self.cfg.callbacks.items(), self.callbacks, strict=True):
            if isinstance(callback, pl.callbacks.EarlyStopping):  # others, as ModelCheckpoint, know further names
                monitored[f"callbacks.{name}.monitor"] = callback.monitor
        for key, metric in monitored.items():
            of_step = key != "monitor" and str(metric).startswith("train/")
            if metric is not None and (metric.removesuffix("_step") if of_step else metric) not in known:
                raise SettingsError(f"{key}={metric}: {_unknown_metric(metric, known)}")


def metrics_of_epochs(module: VAEModule) -> list[str]:
    """The names of the metrics that a run has after each epoch, but for those that callbacks log."""
    schedule_values = getattr(module.objective, "schedule_values", None)
    schedules = schedule_values(0.0) if schedule_values else {}
    train = (*TERMS, "lr", "gradient_norm", "images_per_second", *schedules)
    return [f"train/{name}" for name in train] + [f"val/{name}" for name in (*TERMS, "active_units")]


def _unknown_metric(metric: str, known: Sequence[str]) -> str:
    similar = difflib.get_close_matches(metric, known, n=1, cutoff=0.8)
    hint = f"did you mean {similar[0]}?" if similar else f"there are {', '.join(known)}."
    return f"there is no such metric; {hint}"
