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
from pathlib import Path

ROOT = Path(__file__).parents[1]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["mnist_vae.training.train", __name__])


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
