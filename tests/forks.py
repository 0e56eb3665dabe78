"""The project's scripts in processes of their own that have torch and Lightning loaded already: forked from one that
did that once, since it takes seconds of processor time.

Its imports are few, for every fork makes them.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[1]
FORKS = multiprocessing.get_context("forkserver")
# With what every run on the digits imports late; what is not installed is passed over.
LATE = ["sklearn.datasets", "PIL.PngImagePlugin", "tests.drawn_once"]
FORKS.set_forkserver_preload(["mnist_vae.training.train", *LATE, __name__])


class Fork:
    """`python <script> <words>` with what it prints in files, as far as a fork can be that.

    Args:
        script: relative to the project's folder, or absolute.
        environment: all of it.
        cwd: the folder that it runs in.
        before: code that runs in it first, with `die`, `os` and `sys` at hand.
    """

    def __init__(
        self,
        script: str,
        words: Sequence[str],
        stdout: Path,
        stderr: Path,
        environment: Mapping[str, str] = os.environ,
        cwd: Path = ROOT,
        before: str = "",
    ) -> None:
        self.stdout, self.stderr = stdout, stderr
        arguments = (str(ROOT / script), list(words), str(stdout), str(stderr), dict(environment), str(cwd), before)
        self.process = FORKS.Process(target=_run, args=arguments)
        self.process.start()

    def poll(self) -> int | None:
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()

    def send_signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def wait(self, timeout: float = 300) -> int:
        """Its exit code."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"{self.process.name} took more than {timeout} s: {self.stderr.read_text()}")
        return self.process.exitcode


class Spare:
    """A fork of this process that waits to become a sweep's worker, then with the methods of a Popen.

    It is forked in advance: a sweep has threads, whose locks a fork would find held for ever.
    """

    def __init__(self) -> None:
        self.returncode: int | None = None
        self._connection, theirs = multiprocessing.Pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._connection.close()
            _become_worker(theirs)
        theirs.close()

    def start(self, words: Sequence[str], descriptor: int) -> "Spare":
        """Run `python -u -m <words>`, of which the last but one is to be the descriptor of a connection."""
        self._connection.send((words, dict(os.environ)))
        reduction.send_handle(self._connection, descriptor, self.pid)
        return self

    def poll(self) -> int | None:
        return self._ended(os.WNOHANG)

    def wait(self) -> int | None:
        return self._ended(0)

    def _ended(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


FORK_WORKERS = "from tests.forks import fork_workers; fork_workers()"


def fork_workers(count: int = 4) -> None:
    """Let the first workers of this process's sweep be forks of it, for what is not about their start."""
    from mnist_vae.sweeps import worker

    spares = [Spare() for _ in range(count)]

    def start(words: Sequence[str], pass_fds: Sequence[int], **more: Any) -> Any:
        if not spares:
            return subprocess.Popen(words, pass_fds=pass_fds, **more)
        return spares.pop().start(words[words.index("-m") + 1 :], *pass_fds)

    worker.subprocess = SimpleNamespace(Popen=start, DEVNULL=subprocess.DEVNULL)  # type: ignore[assignment]
    # A Fork's parent is the server, not the process that multiprocessing takes for it and that this one would end with.
    worker.multiprocessing = SimpleNamespace(Pipe=multiprocessing.Pipe, parent_process=lambda: None)  # type: ignore[assignment]


def _become_worker(connection: "Connection[Any, Any]") -> None:
    try:
        (module, _, parent), environment = connection.recv()
        sys.argv = [module, str(reduction.recv_handle(connection)), parent]
        os.setsid()
        os.environ.clear()
        os.environ.update(environment)
        for place in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), place)
        sys.stdout, sys.stderr = (open(place, "w", buffering=1, closefd=False) for place in (1, 2))  # noqa: SIM115
        runpy.run_module(module, run_name="__main__")
    finally:  # with EOFError if the sweep needed no more
        os._exit(1)


def start_alone(
    script: str,
    words: Sequence[str],
    stdout: Path,
    stderr: Path,
    environment: Mapping[str, str] = os.environ,
    cwd: Path = ROOT,
) -> "subprocess.Popen[bytes]":
    """What a Fork imitates: Python's own process, from its start."""
    with stdout.open("wb") as out, stderr.open("wb") as err:
        return subprocess.Popen(
            [sys.executable, script, *words],
            stdout=out,
            stderr=err,
            env=environment,
            cwd=cwd,
            # a shell's background commands, CI's among them, ignore Ctrl-C, and so would all that they start
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def _run(
    script: str, words: list[str], stdout: str, stderr: str, environment: dict[str, str], cwd: str, before: str
) -> None:
    import torch

    for place, path in ((1, stdout), (2, stderr)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, place)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    if threads := environment.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))  # read when torch was loaded, in another environment perhaps
    sys.argv = [script, *words]
    sys.path.insert(0, str(Path(script).parent))
    exec(before, {"die": die, "os": os, "sys": sys})
    runpy.run_path(script, run_name="__main__")


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
