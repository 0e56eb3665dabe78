"""Callbacks that make a run fail."""

import os
import signal
import time

import pytorch_lightning as pl
import torch


class RaisingCallback(pl.Callback):
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        raise RuntimeError("this one is broken")


class KillingCallback(pl.Callback):
    """Kill a process once training begins, as the system does when it is out of memory.

    Args:
        generation: 0 for the process that trains, 1 for the one that waits for it.
    """

    def __init__(self, generation: int = 0) -> None:
        self.generation = generation

    def on_train_start(self, *args: object) -> None:
        os.kill([os.getpid(), os.getppid()][self.generation], signal.SIGKILL)
        time.sleep(60)  # the other process notices a closed pipe first


class AllocatingCallback(pl.Callback):
    """Allocate more memory than there is."""

    def on_train_start(self, *args: object) -> None:
        torch.empty(2**50)


class ParentKillingCallback(KillingCallback):
    """Kill the process that waits for the one that trains."""

    def __init__(self) -> None:
        super().__init__(generation=1)
