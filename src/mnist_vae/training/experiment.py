"""The objects that a config names, built and checked before anything is written."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from mnist_vae.config.build import build_data, build_lr_factor, build_optimizer
from mnist_vae.config.combinations import check_combination
from mnist_vae.config.hparams import Choices
from mnist_vae.config.instantiate import instantiate
from mnist_vae.training.module import VAEModule
from mnist_vae.training.quiet import quiet_lightning
from mnist_vae.training.trainer import check_trainer
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.seeding import seed_everything


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
        self.module = VAEModule(plain, self.data.image_shape, len(self.data.classes), len(self.data.train_split[0]))
        build_optimizer(cfg, self.module.parameters())
        build_lr_factor(cfg)
        check_combination(cfg, choices, self.module.vae, self.module.objective)
        if cfg.trainer.get("compile"):
            self.module.compile_inference(cfg.trainer.get("compile_mode", "default"))
        self.callbacks = [self._callback(f"callbacks.{name}", node) for name, node in cfg.callbacks.items()]

    def _callback(self, key: str, node: DictConfig) -> pl.Callback:
        """Build a callback; raise SettingsError if the metric that it monitors is null, or of an absent split."""
        if isinstance(node, DictConfig) and "monitor" in node and node.monitor is None:
            raise SettingsError(
                f"{key}.monitor: it is null, as the key monitor is here: the last epoch is kept; name a metric of each "
                f"epoch, such as {key}.monitor=val/elbo."
            )
        callback = instantiate(key, node)
        if not isinstance(callback, pl.Callback):
            raise SettingsError(f"{key}._target_={node['_target_']}: it is no callback of Lightning.")
        is_validated = self.cfg.data.val_size and self.cfg.trainer.get("limit_val_batches") != 0
        if str(getattr(callback, "monitor", "")).startswith("val/") and not is_validated:
            raise SettingsError(
                f"callbacks: {type(callback).__name__} monitors {callback.monitor}, and data.val_size=0 or "  # type: ignore[attr-defined]
                "trainer.limit_val_batches=0 leaves no images to validate on; hold images out, or choose "
                "callbacks=default."
            )
        return callback
