"""Stop a run on SIGTERM."""

import signal
import threading

import pytorch_lightning as pl


class StopOnTerminate(pl.Callback):
    """Stop a run on SIGTERM as Ctrl-C does.

    Lightning's own handler starts a collective operation inside the signal handler, which hangs when the processes are
    in another one. It is registered before these hooks are called, and restored after them.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)

    on_test_start = on_train_start
