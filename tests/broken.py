"""A callback with a bug, for test_cli."""

import pytorch_lightning as pl


class Broken(pl.Callback):
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        raise RuntimeError("this one is broken")
