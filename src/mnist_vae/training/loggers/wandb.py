"""Weights & Biases."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from mnist_vae.training.loggers.record import RunRecord, config_in, name_of_run, name_of_sweep
from mnist_vae.utils.errors import SettingsError, first_line

# Variables of wandb, unless the user has set them: no messages on the console, no crash reports to its makers.
ENVIRONMENT = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}


class WandB(WandbLogger):
    """Lightning's logger for Weights & Biases, with its files in `<folder>/wandb`.

    A run that is resumed goes on under the id in `<folder>/wandb.json`. A job of a sweep is in the sweep's group.

    Args:
        folder: the run's folder.
        project: name of the project.
        offline: write to the folder only, without an account; `wandb sync` uploads it.
        name: name of the run; null for that of its folder.
        group: name of its group; null for the sweep's, if it belongs to one.
        kwargs: further arguments of WandbLogger and of `wandb.init`, such as `entity`, `tags`, `settings`.
    """

    def __init__(
        self,
        folder: str,
        project: str = "mnist-vae",
        offline: bool = True,
        name: str | None = None,
        group: str | None = None,
        **kwargs: Any,
    ) -> None:
        for variable, value in ENVIRONMENT.items():
            os.environ.setdefault(variable, value)
        self.record = RunRecord(Path(folder, "wandb.json"))
        self._begin()
        super().__init__(
            name=name or name_of_run(folder),
            save_dir=folder,
            version=self.record.id,
            project=project,
            group=group or name_of_sweep(folder),
            # Lightning's argument `offline` would set a variable, and with it the mode of all later runs.
            **({"mode": "offline"} if offline else {}) | kwargs,
        )

    @rank_zero_only
    def _begin(self) -> None:
        if self.record.id is None:
            self.record.begin(secrets.token_hex(8))

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        import wandb
        from wandb.errors import Error

        if wandb.run is not None and wandb.run.id != self.record.id:
            raise SettingsError(
                f"logger.wandb: the W&B run {wandb.run.id} is active in this process, and a run logs to its own; end "
                "it by wandb.finish()."
            )
        wandb.setup()  # reads WANDB_SILENT; else wandb.init would warn of an argument that Lightning passes
        try:
            super().log_hyperparams(dict(config_in(params)))
        except Error as error:  # raised where the run begins, e.g. without an account
            raise SettingsError(
                f"logger.wandb: {first_line(error).rstrip('.')}; logger.wandb.offline=true needs no account."
            ) from error

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log metrics, or pictures: Lightning's `log_image` calls this too."""
        new = self.record.new(metrics, step)
        if new:
            super().log_metrics(new, step)

    @rank_zero_only
    def close(self, failed: bool = False) -> None:
        """End the run, so that the next one of this process is another.

        Only then is written what was logged: wandb keeps values in memory for some seconds, and those that a killed
        process took with it are to be logged again.
        """
        import wandb

        if wandb.run is not None and wandb.run.id == self.record.id:
            wandb.run.finish(exit_code=int(failed))
        self.record.write()
