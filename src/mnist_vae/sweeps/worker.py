"""The process that runs a sweep's jobs one after the other: torch is imported once, a killed job costs only itself.

`call` sends a job to it; `main` is what it runs, as `python -m mnist_vae.sweeps.worker`. It is started by subprocess,
not by multiprocessing, joblib's loky or concurrent.futures, since

- a process that joblib started cannot start one by multiprocessing ("cannot find context for 'loky'"), so a joblib
  sweep could have no worker; and if joblib's own processes ran the jobs, these could not start the processes of DDP;
- concurrent.futures and multiprocessing wait at exit for their processes to end by themselves: a thread left behind by
  a job, or the worker of a joblib process, would keep a sweep from ending.
"""

import faulthandler
import functools
import gc
import importlib
import logging.config
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mnist_vae.config.error_messages import describe
from mnist_vae.utils.errors import UserError

SWEEP = "MNIST_VAE_SWEEP"  # in the environment of a sweep's processes: the id of the process that started the sweep


class WorkerDied(UserError):
    """The worker process ended without an answer; the message says how."""


class Worker:
    """A process that runs one job after another.

    It leads a process group of its own: Ctrl-C at the terminal reaches this process only, which then decides, and
    closing the worker also ends the processes that its job has started.
    """

    def __init__(self) -> None:
        self.environment = dict(os.environ)
        self._connection, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = subprocess.Popen(
                # -u: what a job printed before it was killed is in its log.
                [sys.executable, "-u", "-m", __name__, str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        with suppress(BrokenPipeError):  # it has ended already; the first call reports that
            _send(self._connection, sys.path)  # a config may name classes that only this process's path leads to

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a job in the process and wait for its answer: {"result": …} or {"failure": …}.

        Raises:
            WorkerDied: the process was killed, or ended by itself. The worker can't be used again then.
        """
        try:
            _send(self._connection, request)
            while not self._connection.poll(1):
                # The end of the process does not close the connection while a process forked by its job lives.
                if self._process.poll() is not None:
                    raise EOFError
            return _receive(self._connection)
        except (EOFError, ConnectionError) as error:
            self._process.wait()
            self.close()  # processes that its job had started may be left
            raise WorkerDied(_how_it_ended(self._process.returncode)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Kill the process and those that its job has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._connection.close()


def _how_it_ended(code: int) -> str:
    if code == -signal.SIGKILL:
        return (
            "its process was killed (SIGKILL); most often the machine had run out of memory: "
            "fewer jobs at once, a smaller model or a smaller batch_size need less."
        )
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"its process ended unexpectedly ({how}); the last lines of train.log may say why."


_worker: Worker | None = None


def call(request: dict[str, Any]) -> dict[str, Any]:
    """Run a job in this process's worker, which is started if there is none, or if the environment has changed.

    Args:
        request: the function's dotted name, its arguments cfg, folder and hydra, and the configuration of logging.

    Raises:
        WorkerDied: the worker was killed, or ended by itself; the next call starts another.
    """
    global _worker
    # A process that multiprocessing or joblib started; joblib's do not notice by themselves that the sweep's has ended.
    # What submitit or Ray started has no such parent: on a cluster, jobs outlive the process that submitted them.
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        _end_with(parent.pid)
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
        close()  # after an unforeseen error the process may be in an inconsistent state
    return answer


def close() -> None:
    """End this process's worker, if there is one."""
    global _worker
    if _worker is not None:
        _worker.close()
    _worker = None


def main(descriptor: int, parent: int) -> None:
    """Run jobs until the process that asks for them closes the connection or ends.

    Args:
        descriptor: of the connection.
        parent: the id of the process that asks.
    """
    faulthandler.enable()
    _end_with(parent)  # also in the middle of a job
    os.set_inheritable(descriptor, False)  # a program that a job starts must not hold the connection open
    connection = Connection(descriptor)
    with suppress(EOFError, ConnectionError):
        sys.path[:] = _receive(connection)
        while True:
            connection.send_bytes(_answer(connection.recv_bytes()))
            gc.collect()  # a trainer and its callbacks refer to one another; the next job needs the memory
    _end()


def _answer(request: bytes) -> bytes:
    try:
        job = pickle.loads(request)
        _redirect_output(Path(job["folder"], "train.log"))
        logging.config.dictConfig(job["logging"])
        module, _, name = job["function"].rpartition(".")
        function = getattr(importlib.import_module(module), name)
        return pickle.dumps({"result": function(job["cfg"], job["folder"], job["hydra"], wait=True)})
    except BaseException as error:
        return pickle.dumps({"failure": describe(error)})
    finally:
        _redirect_output(Path(os.devnull))


def _redirect_output(path: Path) -> None:
    """Append to a file what is printed from now on, by Python, C code or a process started here."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


# Not Connection.send: once torch is imported it sends a tensor as a handle, which only multiprocessing's own can open.
def _send(connection: Connection, value: Any) -> None:
    connection.send_bytes(pickle.dumps(value))


def _receive(connection: Connection) -> Any:
    return pickle.loads(connection.recv_bytes())


@functools.cache  # one thread, however many jobs
def _end_with(parent: int) -> None:
    """Watch the process that started this one, in a thread; end this one when that one has ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        _end()

    threading.Thread(target=watch, daemon=True).start()


def _end() -> None:
    """End this process without waiting for its threads; if it leads a process group, as a worker does, all of that."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
