"""A sweep: which jobs are launched, and what a killed process, a second sweep or a kill leave of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from mnist_vae.runs.folder import RunFolder
from mnist_vae.sweeps.results import read_sweep
from mnist_vae.sweeps.worker import SWEEP
from mnist_vae.utils.errors import RunFolderError, SettingsError
from mnist_vae.utils.io import locked
from tests.conftest import ROOT, TINY, command, composed, forked, forked_sweep
from tests.fake_sweep import FakeJob, FakeLauncher, Work, files, processes_with, swept, table, wait_until

SEEDS = [["seed=0"], ["seed=1"], ["seed=2"]]


@pytest.fixture
def sweep(tmp_path: Path) -> Callable[..., FakeLauncher]:
    """Runs jobs of these overrides in `tmp_path`, with `work` for each."""

    def run(work: Work, combinations: list[list[str]] = SEEDS, at_once: int | None = None) -> FakeLauncher:
        launcher = FakeLauncher(tmp_path, work)
        multirun = launcher.multirun()
        jobs = multirun.jobs(combinations)
        with multirun.held(), multirun.watched(len(jobs)):
            multirun.run(jobs, at_once)
        return launcher

    return run


def complete(job: FakeJob, cfg: DictConfig) -> None:
    job.complete()


def states(sweep: Path) -> dict[str, str]:
    return {
        path.name: "complete" if (path / "metrics.json").exists() else "failed"
        for path in sorted(sweep.iterdir())
        if (path / "metrics.json").exists() or (path / "failed.json").exists()
    }


def test_complete_jobs_are_not_launched_again_and_failed_ones_are(
    sweep: Callable[..., FakeLauncher], tmp_path: Path
) -> None:
    def one_fails(job: FakeJob, cfg: DictConfig) -> None:
        job.fail() if cfg.seed == 1 else job.complete()

    assert sweep(one_fails).launched == [["seed=0", "seed=1", "seed=2"]]
    assert states(tmp_path) == {"seed=0": "complete", "seed=1": "failed", "seed=2": "complete"}
    assert SWEEP not in os.environ  # what this process does next is not of the sweep
    before = files(tmp_path / "seed=0")
    assert sweep(complete).launched == [["seed=1"]]
    assert set(states(tmp_path).values()) == {"complete"} and files(tmp_path / "seed=0") == before
    assert sweep(complete).launched == []


def test_a_process_that_ends_the_sweep_fails_only_its_own_job(
    sweep: Callable[..., FakeLauncher], tmp_path: Path
) -> None:
    def first_two_begin_and_the_first_kills_all(job: FakeJob, cfg: DictConfig) -> None:
        job.begin()
        if cfg.seed == 0:
            FakeJob(job.sweep, stage.load_sweep_config(cfg, ["seed=1", "hydra.sweep.subdir='seed=1'"])).begin()
            raise RuntimeError("a worker died")
        job.complete()

    stage = FakeLauncher(tmp_path, complete)
    launched = sweep(first_two_begin_and_the_first_kills_all).launched
    assert launched == [["seed=0", "seed=1", "seed=2"], ["seed=0"], ["seed=1"], ["seed=2"]]  # suspects alone first
    assert states(tmp_path) == {"seed=0": "failed", "seed=1": "complete", "seed=2": "complete"}
    failure = json.loads((tmp_path / "seed=0" / "failed.json").read_text())
    assert "a worker died" in failure["error"] and failure["overrides"] == ["seed=0"]
    assert not list((tmp_path / ".sweep" / "running").glob("seed=0"))


def test_a_launcher_that_does_not_work_is_tried_once(sweep: Callable[..., FakeLauncher]) -> None:
    def unavailable(job: FakeJob, cfg: DictConfig) -> None:
        raise OSError("no cluster here")

    with pytest.raises(OSError, match="no cluster here"):
        sweep(unavailable)


def test_a_job_that_leaves_nothing_has_failed(sweep: Callable[..., FakeLauncher], tmp_path: Path) -> None:
    sweep(lambda job, cfg: None)
    assert set(states(tmp_path).values()) == {"failed"}


def test_a_job_that_returns_nothing_has_been_tried_and_is_no_failure(
    sweep: Callable[..., FakeLauncher], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(lambda job, cfg: {}).launched == [["seed=0", "seed=1", "seed=2"]]  # as with trainer.fast_dev_run
    assert states(tmp_path) == {} and capsys.readouterr().out.count("   ran without an error") == 3


@pytest.mark.parametrize(("at_once", "sizes"), [(None, [3]), (2, [2, 1]), (1, [1, 1, 1]), (9, [3])])
def test_jobs_are_handed_out_in_batches(
    at_once: int | None, sizes: list[int], sweep: Callable[..., FakeLauncher]
) -> None:
    assert [len(batch) for batch in sweep(complete, at_once=at_once).launched] == sizes


def test_the_same_job_twice_is_one_job(sweep: Callable[..., FakeLauncher]) -> None:
    assert sweep(complete, [["seed=0"], ["seed=0"]]).launched == [["seed=0"]]


@pytest.mark.parametrize("word", ["latent_dim=0", "+x=1", "model={}"])
def test_a_job_with_a_wrong_value_stops_the_sweep_before_it_starts(
    word: str, sweep: Callable[..., FakeLauncher], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=rf"^{word.lstrip('+').partition('=')[0]}"):
        sweep(complete, [["seed=0"], ["seed=0", word]])
    assert not list(tmp_path.iterdir())


def test_a_job_can_refer_to_its_number(sweep: Callable[..., FakeLauncher], tmp_path: Path) -> None:
    sweep(complete, [["seed=${hydra:job.num}", "beta=1"], ["seed=${hydra:job.num}", "beta=2"]])
    assert len(states(tmp_path)) == 2


def test_a_job_keeps_its_number_whichever_are_left(sweep: Callable[..., FakeLauncher]) -> None:
    numbered = [["seed=${hydra:job.num}", "latent_dim=1${hydra:job.num}", f"beta={beta}"] for beta in (1, 2, 4, 8)]
    seen = []

    def odd_ones_fail(job: FakeJob, cfg: DictConfig) -> None:
        seen.append((cfg.seed, cfg.latent_dim))
        job.complete() if cfg.seed % 2 == 0 else job.fail()

    sweep(odd_ones_fail, numbered, at_once=3)
    sweep(odd_ones_fail, numbered)  # the same command again
    assert seen == [(0, 10), (1, 11), (2, 12), (3, 13), (1, 11), (3, 13)]


def test_a_log_that_leads_elsewhere_stops_the_sweep_before_it_starts(
    sweep: Callable[..., FakeLauncher], tmp_path: Path
) -> None:
    (tmp_path / "seed=1").mkdir()
    (tmp_path / "seed=1" / "train.log").symlink_to("/dev/null")
    with pytest.raises(RunFolderError, match=r"seed=1/train\.log leads outside the run's folder, to /dev/null"):
        sweep(complete)
    assert not (tmp_path / "seed=0").exists()


def test_two_jobs_in_one_folder_are_refused(sweep: Callable[..., FakeLauncher], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"hydra\.sweep\.subdir=same: two jobs would share this folder"):
        sweep(complete, [["seed=0", "hydra.sweep.subdir=same"], ["seed=1", "hydra.sweep.subdir=same"]])
    sweep(complete, [[f"seed={seed}", "hydra.sweep.subdir=run_${hydra.job.num}"] for seed in (0, 1)])
    assert set(states(tmp_path)) == {"run_0", "run_1"}


def test_a_folder_of_another_configuration_stops_the_sweep_before_it_starts(
    sweep: Callable[..., FakeLauncher], tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "seed=1")
    with run.claimed(composed("data=digits", "seed=1", "lr=0.5")):
        pass
    before = files(tmp_path / "seed=1")
    with pytest.raises(
        RunFolderError, match=r"seed=1 belongs to another .*lr \(there 0.5, now 0.003\).*hydra.sweep.dir=…"
    ):
        sweep(complete)
    assert files(tmp_path / "seed=1") == before and not (tmp_path / "seed=0").exists()


def test_a_second_sweep_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".sweep").mkdir()
    with locked(tmp_path / ".sweep" / "lock", tmp_path):
        done = forked("-m", *TINY, "seed=0,1", f"hydra.sweep.dir={tmp_path}")
    assert done.returncode != 0 and f"{tmp_path} is in use by another process" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and [path.name for path in tmp_path.iterdir()] == [".sweep"]


@pytest.mark.parametrize("subdir", ["/tmp/elsewhere", "../above", "a/../../b", "."])
def test_jobs_stay_within_the_sweep(subdir: str, sweep: Callable[..., FakeLauncher], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"hydra\.sweep\.subdir=.*within hydra\.sweep\.dir"):
        sweep(complete, [["seed=0", f"hydra.sweep.subdir={subdir}"]])
    assert not list(tmp_path.iterdir())


def test_a_name_with_quotes_is_a_name(sweep: Callable[..., FakeLauncher], tmp_path: Path) -> None:
    sweep(complete, [["seed=0", """hydra.sweep.subdir="it's/a job\""""]])
    assert (tmp_path / "it's" / "a job" / "metrics.json").exists()


def test_damaged_files_are_made_again(sweep: Callable[..., FakeLauncher], tmp_path: Path) -> None:
    sweep(complete)
    (tmp_path / "sweep.json").write_text('{"jobs"')
    (tmp_path / "seed=1" / "metrics.json").write_text("{")
    assert sweep(complete).launched == [["seed=1"]]
    assert set(states(tmp_path).values()) == {"complete"} and len(read_sweep(tmp_path).jobs) == 3


def test_a_folder_that_cannot_be_used_stops_its_own_job_only(
    sweep: Callable[..., FakeLauncher], tmp_path: Path
) -> None:
    (tmp_path / "seed=1").write_text("a file in the way")
    with pytest.raises(RunFolderError, match=r"1 jobs could not be run: seed=1 \(Not a directory\)"):
        sweep(complete)
    assert states(tmp_path) == {"seed=0": "complete", "seed=2": "complete"}


def test_values_that_make_no_config_stop_the_sweep_before_it_starts(tmp_path: Path) -> None:
    done = forked("-m", *TINY, "seed=0,abc", f"hydra.sweep.dir={tmp_path}")
    assert done.returncode != 0 and "seed=abc" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


BAD = ("RaisingCallback", "AllocatingCallback", "KillingCallback")


@pytest.mark.slow
def test_a_job_that_raises_lacks_memory_or_is_killed_does_not_stop_the_others(tmp_path: Path) -> None:
    classes = ",".join(
        [*(f"tests.failing_callbacks.{name}" for name in BAD), "mnist_vae.training.callbacks.epoch_images.EpochImages"]
    )
    sweep = ("-m", *TINY, "callbacks=none", f"+callbacks.extra._target_={classes}", "model.hidden_dims=[16],[0]")
    done = forked_sweep(*sweep, f"hydra.sweep.dir={tmp_path}")
    assert done.returncode != 0 and "7 of 8 jobs failed: " in done.stderr and len(done.stderr.splitlines()) == 1
    found = states(tmp_path)
    assert sorted(found.values()) == ["complete"] + ["failed"] * 7
    for name, state in found.items():
        assert (name in done.stderr) == (state == "failed")
    for name, reason in zip(BAD, ("this one is broken", "out of memory", "killed (SIGKILL)"), strict=True):
        folder = next(path for path in tmp_path.glob(f"model.hidden_dims=16x,*{name}*"))
        failure = json.loads((folder / "failed.json").read_text())
        assert reason in failure["error"] and "model.hidden_dims=[16]" in failure["overrides"]
        assert (failure["traceback"] and "Traceback" in (folder / "train.log").read_text()) or name == "KillingCallback"
    assert (tmp_path / "report.html").exists() and "hidden_dims is [0]" in (tmp_path / "summary.csv").read_text()


@pytest.mark.slow
def test_a_fast_dev_run_of_every_job_keeps_nothing(tmp_path: Path) -> None:
    sweep = ("-m", "debug=fast_dev_run", *TINY, "latent_dim=2,3", f"hydra.sweep.dir={tmp_path}")
    done = forked_sweep(*sweep)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "nothing was kept" in done.stdout and done.stdout.count("ran without an error") == 2
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert not names & {"config.yaml", "metrics.json", "metrics.csv", "report.html", "best.ckpt"}

    done = forked_sweep(*sweep, "+callbacks.broken._target_=tests.failing_callbacks.RaisingCallback")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    failed = sorted(path.parent.name for path in tmp_path.glob("*/failed.json"))
    assert len(failed) == 2 and done.stderr == f"error: 2 of 4 jobs failed: {' · '.join(failed)}\n"


@pytest.mark.slow
def test_joblib_goes_on_without_a_process_that_was_killed(tmp_path: Path) -> None:
    classes = "tests.failing_callbacks.ParentKillingCallback,mnist_vae.training.callbacks.epoch_images.EpochImages"
    sweep = ("-m", "launcher=joblib", *TINY, "callbacks=none", f"+callbacks.extra._target_={classes}")
    done = command(*sweep, f"hydra.sweep.dir={tmp_path}")
    assert done.returncode != 0 and "1 of 2 jobs failed" in done.stderr
    found = states(tmp_path)
    assert sorted(found.values()) == ["complete", "failed"]
    assert all(("ParentKillingCallback" in name) == (state == "failed") for name, state in found.items())


JOBS = ("data=digits", "model.hidden_dims=[32]", "max_epochs=8", "callbacks=none", "latent_dim=2,3,4")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return swept(tmp_path_factory.mktemp("undisturbed") / "sweep", *JOBS)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["serial", "joblib"])
def test_a_sweep_killed_in_the_middle_ends_as_an_undisturbed_one(
    launcher: str, undisturbed: Path, tmp_path: Path
) -> None:
    arguments = [sys.executable, "train.py", "-m", *JOBS, f"launcher={launcher}", f"hydra.sweep.dir={tmp_path}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not (list(tmp_path.glob("*/metrics.json")) and unfinished(tmp_path)):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not processes_with(f"{SWEEP}={process.pid}"))  # they end by themselves
    finished = [path.parent for path in tmp_path.glob("*/metrics.json")]
    assert 1 <= len(finished) < 3
    before = {folder: files(folder) for folder in finished}
    interrupted = {path.parents[1] for path in tmp_path.glob("*/checkpoints/last.ckpt")} - set(finished)

    again = forked_sweep if launcher == "serial" else command  # at its end, a fork waits for joblib's idle processes
    done = again("-m", *JOBS, f"launcher={launcher}", f"hydra.sweep.dir={tmp_path}", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert f"{len(finished)} of 3 jobs are complete already" in done.stdout
    assert {folder: files(folder) for folder in finished} == before
    assert table(tmp_path) == table(undisturbed)
    for folder in interrupted:
        assert "continuing after step" in (folder / "train.log").read_text()


def unfinished(sweep: Path) -> bool:
    """Whether a job that is under way has an epoch behind it."""
    begun = {path.parents[1] for path in sweep.glob("*/checkpoints/last.ckpt")}
    return any(not (folder / "metrics.json").exists() for folder in begun)
