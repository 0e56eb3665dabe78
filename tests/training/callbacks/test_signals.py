import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import pytorch_lightning as pl

from mnist_vae.training.callbacks.signals import StopOnTerminate
from mnist_vae.training.quiet import quiet_lightning
from tests.training.test_module import fit


class Terminating(pl.Callback):
    """Sends SIGTERM to this process, as a scheduler would."""

    def on_train_batch_start(self, *args: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_to_terminate_stops_a_run_as_an_interrupt_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), quiet_lightning():
        fit(StopOnTerminate(), Terminating())
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("hook", ["on_train_start", "on_test_start"])
def test_the_handler_is_set_in_the_main_thread_only(hook: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    call: Any = getattr(StopOnTerminate(), hook)
    with ThreadPoolExecutor() as threads:
        threads.submit(call, None, None).result()
    assert signal.getsignal(signal.SIGTERM) is before
    try:
        call(None, None)
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
