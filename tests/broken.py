"""Callbacks that end a run badly, each in its own way."""

import os
import signal
import time

import pytorch_lightning as pl
import torch


class Broken(pl.Callback):
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        raise RuntimeError("this one is broken")


class Deadly(pl.Callback):
    """Kills a process once training begins, as the want of memory does.

    Args:
        generation: 0 for the process that trains, 1 for the one that waits for it.
    """

    def __init__(self, generation: int = 0) -> None:
        self.generation = generation

    def on_train_start(self, *args: object) -> None:
        os.kill([os.getpid(), os.getppid()][self.generation], signal.SIGKILL)
        time.sleep(60)  # the word of that comes by way of a closed pipe


class Greedy(pl.Callback):
    """Asks for more memory than there is."""

    def on_train_start(self, *args: object) -> None:
        torch.empty(2**50)


class Murderous(Deadly):
    """Kills the process that waits for its own."""

    def __init__(self) -> None:
        super().__init__(generation=1)
