"""A worker runs job after job in a process of its own, and its end is told as what it was."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mnist_vae.sweeps import worker as workers
from mnist_vae.sweeps.worker import Worker, WorkerDied
from mnist_vae.utils.errors import SettingsError
from tests.conftest import ROOT, composed
from tests.sweeping import processes_with, wait_until

LOGGING = {"version": 1, "disable_existing_loggers": False}


def request(function: str, folder: Path, cfg: Any = None) -> dict[str, Any]:
    return {"function": function, "cfg": cfg, "folder": str(folder), "hydra": None, "logging": LOGGING}


def who(cfg: Any, folder: str, hydra: Any, wait: bool) -> tuple[int, int]:
    print("said on stdout")
    os.system("echo said by a child >&2")
    return os.getpid(), len(sys.path)


def refuse(cfg: Any, folder: str, hydra: Any, wait: bool) -> None:
    raise SettingsError("a sentence.")


def stumble(cfg: Any, folder: str, hydra: Any, wait: bool) -> None:
    raise LookupError("nobody foresaw this")


def leave(cfg: Any, folder: str, hydra: Any, wait: bool) -> None:
    os._exit(3)


def crash(cfg: Any, folder: str, hydra: Any, wait: bool) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def sleep(cfg: Any, folder: str, hydra: Any, wait: bool) -> None:
    Path(folder, "asleep").touch()
    time.sleep(60)


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def test_jobs_share_a_process_and_what_they_print_goes_to_their_logs(worker: Worker, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        answer = worker.call(request("tests.sweeps.test_worker.who", tmp_path / name))
        assert answer == {"result": (worker.pid, len(sys.path))} and worker.pid != os.getpid()
        assert set((tmp_path / name / "train.log").read_text().splitlines()) == {"said by a child", "said on stdout"}


def test_an_error_is_an_answer(worker: Worker, tmp_path: Path) -> None:
    failure = worker.call(request("tests.sweeps.test_worker.refuse", tmp_path))["failure"]
    assert (failure["error"], failure["type"], failure["expected"]) == ("a sentence.", "SettingsError", True)
    failure = worker.call(request("tests.sweeps.test_worker.stumble", tmp_path))["failure"]
    assert "nobody foresaw this (LookupError" in failure["error"] and not failure["expected"]
    assert "in stumble" in failure["traceback"]


@pytest.mark.parametrize(("function", "message"), [("leave", "exit code 3"), ("crash", "SIGSEGV")])
def test_the_end_of_the_process_is_told(function: str, message: str, worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(WorkerDied, match=message):
        worker.call(request(f"tests.sweeps.test_worker.{function}", tmp_path))


def test_a_killed_process_is_told_and_the_next_job_gets_another(tmp_path: Path) -> None:
    def kill() -> None:
        wait_until(lambda: (tmp_path / "asleep").exists())
        assert workers._worker is not None
        os.kill(workers._worker.pid, signal.SIGKILL)

    threading.Thread(target=kill).start()
    with pytest.raises(WorkerDied, match=r"SIGKILL.*memory"):
        workers.call(request("tests.sweeps.test_worker.sleep", tmp_path))
    assert workers.call(request("tests.sweeps.test_worker.who", tmp_path))["result"][0] != os.getpid()
    workers.close()


def test_another_environment_gets_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pid() -> int:
        return workers.call(request("tests.sweeps.test_worker.who", tmp_path))["result"][0]

    first = pid()
    assert pid() == first
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert pid() != first
    workers.close()


@pytest.mark.slow
def test_job_after_job_leaves_the_memory_that_three_had_taken(worker: Worker, tmp_path: Path) -> None:
    def held() -> tuple[float, int, int]:
        """Megabytes, threads, open files."""
        process = Path(f"/proc/{worker.pid}")
        if not process.exists():
            pytest.skip("needs /proc")
        kilobytes = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
        return (
            int(kilobytes.split()[1]) / 1024,
            len(list((process / "task").iterdir())),
            len(os.listdir(process / "fd")),
        )

    after = []
    for job in range(8):
        cfg = composed("data=digits", "model.hidden_dims=[16]", "max_epochs=1", "accelerator=cpu", f"seed={job}")
        (tmp_path / str(job)).mkdir()
        assert "result" in worker.call(request("mnist_vae.training.train.train", tmp_path / str(job), cfg))
        after.append(held())
    third, last = after[2], after[-1]
    assert last[0] < 1.1 * third[0] and last[1:] == third[1:], after


def test_what_a_sweep_started_ends_with_it(tmp_path: Path) -> None:
    """Three processes: a sweep's, one that it starts as joblib does, and a job's."""
    child = (
        "import sys; from tests.sweeps.test_worker import *; "
        "workers.call(request('tests.sweeps.test_worker.sleep', Path(sys.argv[1])))"
    )
    sweep = (
        "import os, subprocess, sys\n"
        f"os.environ[{workers.SWEEP!r}] = str(os.getpid())\n"
        f"subprocess.run([sys.executable, '-c', {child!r}, sys.argv[1]])"
    )
    process = subprocess.Popen([sys.executable, "-c", sweep, str(tmp_path)], cwd=ROOT)
    mark = f"{workers.SWEEP}={process.pid}"
    wait_until(lambda: (tmp_path / "asleep").exists())
    assert len(processes_with(mark)) == 2
    process.kill()
    process.wait()
    wait_until(lambda: not processes_with(mark))
