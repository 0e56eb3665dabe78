"""The worker process: jobs share it, its end is reported with the reason, and nothing it started outlives the sweep."""

import multiprocessing
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
from tests.fake_sweep import processes_with, wait_until

LOGGING = {"version": 1, "disable_existing_loggers": False}


def request(function: str, folder: Path, cfg: Any = None) -> dict[str, Any]:
    return {"function": function, "cfg": cfg, "folder": str(folder), "hydra": None, "logging": LOGGING}


def whoami(cfg: Any, folder: str, hydra: Any, wait: bool) -> tuple[int, int]:
    print("printed by Python")
    os.system("echo printed by a child >&2")
    return os.getpid(), len(sys.path)


def refuse(cfg: Any, folder: str, hydra: Any, wait: bool) -> None:
    raise SettingsError("a sentence.")


def fail_unexpectedly(cfg: Any, folder: str, hydra: Any, wait: bool) -> None:
    raise LookupError("not foreseen")


def return_a_lock(cfg: Any, folder: str, hydra: Any, wait: bool) -> Any:
    return threading.Lock()


def leave(cfg: Any, folder: str, hydra: Any, wait: bool) -> None:
    print("the last words")
    os._exit(3)


def crash(cfg: Any, folder: str, hydra: Any, wait: bool) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def sleep(cfg: Any, folder: str, hydra: Any, wait: bool) -> None:
    Path(folder, "asleep").touch()
    time.sleep(60)


def start_a_process(cfg: Any, folder: str, hydra: Any, wait: bool) -> int | None:
    """What a run on several devices does."""
    process = multiprocessing.get_context("spawn").Process(target=os.getpid)
    process.start()
    process.join()
    return process.exitcode


def leave_a_thread(cfg: Any, folder: str, hydra: Any, wait: bool) -> None:
    threading.Thread(target=time.sleep, args=(60,)).start()


def die_and_leave_a_fork(cfg: Any, folder: str, hydra: Any, wait: bool) -> None:
    if os.fork() == 0:
        time.sleep(60)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def test_jobs_share_a_process_and_what_they_print_goes_to_their_logs(worker: Worker, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        answer = worker.call(request("tests.sweeps.test_worker.whoami", tmp_path / name))
        assert answer == {"result": (worker.pid, len(sys.path))} and worker.pid != os.getpid()
        assert set((tmp_path / name / "train.log").read_text().splitlines()) == {
            "printed by a child",
            "printed by Python",
        }


def test_an_error_is_an_answer(worker: Worker, tmp_path: Path) -> None:
    failure = worker.call(request("tests.sweeps.test_worker.refuse", tmp_path))["failure"]
    assert (failure["error"], failure["type"], failure["expected"]) == ("a sentence.", "SettingsError", True)
    failure = worker.call(request("tests.sweeps.test_worker.fail_unexpectedly", tmp_path))["failure"]
    assert "not foreseen (LookupError" in failure["error"] and not failure["expected"]
    assert "in fail_unexpectedly" in failure["traceback"]
    failure = worker.call(request("tests.sweeps.test_worker.return_a_lock", tmp_path))["failure"]
    assert "cannot pickle" in failure["error"]
    failure = worker.call(request("tests.sweeps.test_worker.whoami", tmp_path / "missing"))["failure"]
    assert "No such file or directory" in failure["error"]


@pytest.mark.parametrize(("function", "message"), [("leave", "exit code 3"), ("crash", "SIGSEGV")])
def test_the_end_of_the_process_is_reported(function: str, message: str, worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(WorkerDied, match=message):
        worker.call(request(f"tests.sweeps.test_worker.{function}", tmp_path))
    assert {"leave": "the last words", "crash": "Fatal Python error"}[function] in (tmp_path / "train.log").read_text()


def test_a_fork_that_a_killed_job_left_is_not_waited_for(worker: Worker, tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(WorkerDied, match="SIGKILL"):
        worker.call(request("tests.sweeps.test_worker.die_and_leave_a_fork", tmp_path))
    assert time.monotonic() - begin < 30
    with pytest.raises(ProcessLookupError):  # the fork has been ended too
        wait_until(lambda: os.killpg(worker.pid, 0))


def test_a_killed_process_is_reported_and_the_next_job_gets_another(tmp_path: Path) -> None:
    def kill() -> None:
        wait_until(lambda: (tmp_path / "asleep").exists())
        assert workers._worker is not None
        os.kill(workers._worker.pid, signal.SIGKILL)

    threading.Thread(target=kill).start()
    with pytest.raises(WorkerDied, match=r"SIGKILL.*memory"):
        workers.call(request("tests.sweeps.test_worker.sleep", tmp_path))
    assert workers.call(request("tests.sweeps.test_worker.whoami", tmp_path))["result"][0] != os.getpid()
    workers.close()


def test_another_environment_gets_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pid() -> int:
        return workers.call(request("tests.sweeps.test_worker.whoami", tmp_path))["result"][0]

    first = pid()
    assert pid() == first
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert pid() != first
    workers.close()


def test_an_unexpected_error_gets_another_process(tmp_path: Path) -> None:
    first = workers.call(request("tests.sweeps.test_worker.whoami", tmp_path))["result"]
    assert "expected" in workers.call(request("tests.sweeps.test_worker.refuse", tmp_path))["failure"]
    assert workers.call(request("tests.sweeps.test_worker.whoami", tmp_path))["result"] == first
    workers.call(request("tests.sweeps.test_worker.fail_unexpectedly", tmp_path))
    assert workers.call(request("tests.sweeps.test_worker.whoami", tmp_path))["result"] != first
    workers.close()


@pytest.mark.slow
def test_later_jobs_take_no_more_memory_than_three(worker: Worker, tmp_path: Path) -> None:
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
    for job in range(5):
        cfg = composed("data=digits", "model.hidden_dims=[16]", "max_epochs=1", "accelerator=cpu", f"seed={job}")
        (tmp_path / str(job)).mkdir()
        assert "result" in worker.call(request("mnist_vae.training.train.train", tmp_path / str(job), cfg))
        after.append(held())
    megabytes, threads, open_files = (max(values) for values in zip(*after[:3], strict=True))
    # A thread that ends with its job may still be seen once; one that every job left behind would be seen after all.
    fewest_threads, fewest_files = (min(values) for values in list(zip(*after[3:], strict=True))[1:])
    assert after[-1][0] < 1.1 * megabytes and fewest_threads <= threads and fewest_files <= open_files, after


SERIAL = "workers.call(job)"
JOBLIB = "joblib.Parallel(2)(joblib.delayed(workers.call)(job) for job in [job, job])"


def started_sweep(call: str, function: str, folder: Path) -> subprocess.Popen[str]:
    """A process that runs a job as a sweep does, by itself or by the processes of joblib."""
    sweep = (
        "import joblib, os, pathlib, sys\n"
        "from tests.sweeps.test_worker import request, workers\n"
        f"os.environ[{workers.SWEEP!r}] = str(os.getpid())\n"
        f"job = request('tests.sweeps.test_worker.{function}', pathlib.Path(sys.argv[1]))\n"
        f"print({call})"
    )
    return subprocess.Popen([sys.executable, "-c", sweep, str(folder)], cwd=ROOT, text=True, stdout=subprocess.PIPE)


@pytest.mark.parametrize("call", [SERIAL, JOBLIB], ids=["serial", "joblib"])
def test_no_process_outlives_a_killed_sweep(call: str, tmp_path: Path) -> None:
    with started_sweep(call, "sleep", tmp_path) as sweep:
        wait_until(lambda: (tmp_path / "asleep").exists())
        processes = f"{workers.SWEEP}={sweep.pid}"
        assert processes_with(processes)
        sweep.kill()
    wait_until(lambda: not processes_with(processes), seconds=10)


@pytest.mark.parametrize("call", [SERIAL, JOBLIB], ids=["serial", "joblib"])
def test_a_thread_that_a_job_left_is_not_waited_for(call: str, tmp_path: Path) -> None:
    with started_sweep(call, "leave_a_thread", tmp_path) as sweep:
        assert "{'result': None}" in sweep.communicate(timeout=30)[0]
    assert sweep.returncode == 0
    wait_until(lambda: not processes_with(f"{workers.SWEEP}={sweep.pid}"), seconds=10)


def test_a_job_of_a_joblib_process_starts_processes(tmp_path: Path) -> None:
    with started_sweep(JOBLIB, "start_a_process", tmp_path) as sweep:
        assert "[{'result': 0}, {'result': 0}]" in sweep.communicate(timeout=30)[0]
