"""The process beside this one that a sweep's jobs run in; see worker.py for its side."""

import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from mnist_vae.utils.errors import UserError

SWEEP = "MNIST_VAE_SWEEP"  # in the environment of a sweep's processes: the process that started the sweep
_PARENT = os.getppid()


class WorkerDied(UserError):
    """The process ended without an answer; the message says by what."""


class Worker:
    """A process that runs one job after another.

    It is a group of its own, with whatever it starts: Ctrl-C at the terminal reaches this process alone, which then
    decides, and a kill reaches all of it.
    """

    def __init__(self) -> None:
        self.environment = dict(os.environ)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mnist_vae.sweeps.worker_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._send(sys.path)  # a config may name classes that only this process's path leads to

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a job there, and wait for its answer: {"result": …} or {"failure": …}.

        Raises:
            WorkerDied: it was killed, or ended by itself. It is not to be used again then.
        """
        assert self._process.stdout is not None
        try:
            self._send(request)
            return pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            self._process.wait()
            self.close()  # what it had started may still be there
            raise WorkerDied(self._epitaph()) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it, whatever it is doing."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _send(self, value: Any) -> None:
        assert self._process.stdin is not None
        pickle.dump(value, self._process.stdin)
        self._process.stdin.flush()

    def _epitaph(self) -> str:
        code = self._process.returncode
        if code == -signal.SIGKILL:
            return (
                "its process was killed (SIGKILL); most often the machine had run out of memory: "
                "fewer jobs at once, a smaller model or a smaller batch_size need less."
            )
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"its process ended unexpectedly ({how}); what it last said is in train.log."


@functools.cache
def _end_with_the_sweep() -> None:
    """If this process was started by a sweep's own, watch that one from now on, and end when it has gone.

    It would not be noticed otherwise: joblib's processes wait for jobs at a pipe that they hold open themselves. What
    a cluster started outlives the sweep's process.
    """
    if str(_PARENT) != os.environ.get(SWEEP):
        return

    def watch() -> None:
        while os.getppid() == _PARENT:
            time.sleep(1)
        close()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


_worker: Worker | None = None


def call(request: dict[str, Any]) -> dict[str, Any]:
    """Run a job in this process's worker, which is started when there is none, or when the environment has changed.

    Raises:
        WorkerDied: it was killed, or ended by itself; the next call starts another.
    """
    global _worker
    _end_with_the_sweep()
    if _worker is not None and _worker.environment != dict(os.environ):
        close()  # e.g. another GPU was assigned to this job
    if _worker is None:
        _worker = Worker()
    try:
        answer = _worker.call(request)
    except BaseException:
        _worker = None
        raise
    if not answer.get("failure", {}).get("expected", True):
        close()  # after an error that nobody foresaw, who knows what state it is in
    return answer


def close() -> None:
    """End this process's worker, if there is one."""
    global _worker
    if _worker is not None:
        _worker.close()
    _worker = None
