"""One job of a sweep: what it returns and writes, whatever becomes of it."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from mnist_vae.runs.folder import RunFolder
from mnist_vae.sweeps import worker
from mnist_vae.sweeps.job import Job, run_job, running_mark
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.text import MINUS, scores
from tests.conftest import ROOT, TINY, forked_sweep

METRICS = {"test/elbo": -100.0, "epochs": 2}


class FakeWorker:
    """In the place of the worker process: keeps the requests, and the marks of running jobs at that time."""

    def __init__(self, sweep: Path) -> None:
        self.sweep = sweep
        self.answer: Any = {"result": METRICS}
        self.requests: list[dict[str, Any]] = []
        self.marks: list[list[str]] = []

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        self.marks.append([path.name for path in (self.sweep / ".sweep" / "running").iterdir()])
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def fake_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeWorker:
    fake = FakeWorker(tmp_path)
    monkeypatch.setattr(worker, "call", fake.call)
    monkeypatch.setenv(worker.SWEEP, "1")
    return fake


def config(sweep: Path, *overrides: str) -> DictConfig:
    """The config of the job `one`, which HydraConfig gives from now on."""
    words = [*TINY, *overrides, f"hydra.sweep.dir={sweep}", "hydra.sweep.subdir=one", "hydra.mode=MULTIRUN"]
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        cfg = compose("train", overrides=words, return_hydra_config=True)
    OmegaConf.set_readonly(cfg, False)
    OmegaConf.set_readonly(cfg.hydra, False)
    cfg.hydra.runtime.output_dir = str(sweep / "one")
    HydraConfig.instance().set_config(cfg)
    cfg = copy.deepcopy(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    (sweep / "one").mkdir(exist_ok=True)  # as Hydra does
    return cfg


@pytest.fixture(autouse=True)
def no_hydra_left():
    yield
    HydraConfig.instance().cfg = None


def test_a_job_is_marked_while_it_runs_and_returns_what_its_function_returns(
    fake_worker: FakeWorker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = config(tmp_path)
    assert run_job("some.function", cfg) == METRICS
    (request,) = fake_worker.requests
    assert (request["function"], request["folder"], request["cfg"]) == ("some.function", f"{tmp_path}/one", cfg)
    assert fake_worker.marks == [["one"]] and not running_mark(tmp_path, "one").exists()
    assert capsys.readouterr().out == ""  # the sweep shows progress


def test_the_worker_gets_values_not_references(fake_worker: FakeWorker, tmp_path: Path) -> None:
    cfg = config(tmp_path, "hydra.job.num=7", "seed=${hydra:job.num}", "latent_dim=${seed}")
    run_job("some.function", cfg)
    sent = fake_worker.requests[0]["cfg"]
    assert (sent.seed, sent.latent_dim) == (7, 7) and "${" not in str(OmegaConf.to_container(sent, resolve=False))


def test_the_console_belongs_to_the_sweep(fake_worker: FakeWorker, tmp_path: Path) -> None:
    run_job("some.function", config(tmp_path))
    logging = fake_worker.requests[0]["logging"]
    assert list(logging["handlers"]) == ["file"] == logging["root"]["handlers"]
    assert logging["handlers"]["file"]["filename"] == f"{tmp_path}/one/train.log"


def test_a_complete_job_is_not_run_again(fake_worker: FakeWorker, tmp_path: Path) -> None:
    cfg = config(tmp_path)
    with RunFolder(tmp_path / "one").claimed(cfg):
        RunFolder(tmp_path / "one").write_metrics({"test/elbo": -7.0})
    assert run_job("some.function", cfg) == {"test/elbo": -7.0} and fake_worker.requests == []


@pytest.mark.parametrize(
    ("answer", "error", "expected"),
    [
        ({"failure": {"error": "no.", "type": "A", "traceback": "", "expected": True}}, "no.", True),
        (SettingsError("lr: no."), "lr: no.", True),
        (LookupError("not foreseen"), "not foreseen (LookupError; this was not expected", False),
    ],
    ids=["answered", "expected", "unexpected"],
)
def test_a_failure_is_returned_and_written(
    answer: Any, error: str, expected: bool, fake_worker: FakeWorker, tmp_path: Path
) -> None:
    fake_worker.answer = answer
    returned = run_job("some.function", config(tmp_path))
    assert returned["failure"]["error"].startswith(error) and returned["failure"]["expected"] == expected
    stored = json.loads((tmp_path / "one" / "failed.json").read_text())
    assert stored["error"] == returned["failure"]["error"] and "data=digits" in stored["overrides"]
    assert not running_mark(tmp_path, "one").exists()


def test_a_wrong_value_or_folder_is_refused_before_the_worker_starts(fake_worker: FakeWorker, tmp_path: Path) -> None:
    assert run_job("some.function", config(tmp_path, "latent_dim=0"))["failure"]["error"].startswith("latent_dim=0: ")
    with RunFolder(tmp_path / "one").claimed(config(tmp_path, "latent_dim=5")):
        pass
    failure = run_job("some.function", config(tmp_path))["failure"]
    assert "belongs to another configuration" in failure["error"] and fake_worker.requests == []


def test_only_the_first_machine_writes(
    fake_worker: FakeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_RANK", "1")
    fake_worker.answer = LookupError("not foreseen")
    monkeypatch.setattr(fake_worker, "sweep", tmp_path / "nowhere")
    (tmp_path / "nowhere" / ".sweep" / "running").mkdir(parents=True)
    assert run_job("some.function", config(tmp_path, "accelerator.num_nodes=2")) == {}
    assert len(fake_worker.requests) == 1 and list((tmp_path / "one").iterdir()) == []
    assert not (tmp_path / ".sweep").exists()


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"result": METRICS}, f"one   test ELBO {MINUS}100.000"),
        ({"result": {}}, "one   ran without an error"),
        (SettingsError("lr: no."), "one   failed: lr: no."),
    ],
    ids=["metrics", "fast_dev_run", "failure"],
)
def test_under_a_sweeper_of_hydra_a_line_is_printed(
    answer: Any,
    line: str,
    fake_worker: FakeWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(worker.SWEEP)
    fake_worker.answer = answer
    run_job("some.function", config(tmp_path))
    assert capsys.readouterr().out == f"{line}\n"


def test_a_job_has_ended_when_it_is_complete_or_has_failed(tmp_path: Path) -> None:
    for file, ended in ((None, False), ("failed.json", True), ("metrics.json", True)):
        run = RunFolder(tmp_path / str(file))
        run.path.mkdir()
        if file is not None:
            (run.path / file).touch()
        assert Job("a", "a", [], [], run, 1).ended == ended


@pytest.mark.slow
def test_hydras_own_sweeper_runs_each_job_in_a_folder_of_its_name(tmp_path: Path) -> None:
    sweep = ("-m", "hydra/sweeper=basic", *TINY, "callbacks=none", "max_epochs=1", f"hydra.sweep.dir={tmp_path}")
    done = forked_sweep(*sweep, "seed=0,1")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    jobs = sorted(path.parent for path in tmp_path.glob("*/metrics.json"))
    assert ["seed=0" in job.name for job in jobs] == [True, False] and len(jobs) == 2
    for job in jobs:
        assert f"{job.name}   {scores(json.loads((job / 'metrics.json').read_text()))}" in done.stdout.splitlines()
    assert "2 jobs: 2 complete" in done.stdout and (tmp_path / "report.html").exists()
    assert not os.listdir(tmp_path / ".sweep" / "running")

    broken = "+callbacks.broken._target_=tests.failing_callbacks.RaisingCallback"
    done = forked_sweep(*sweep, broken, "seed=2")
    (failed,) = tmp_path.glob("*/failed.json")
    assert done.returncode == 1 and done.stderr == f"error: 1 of 3 jobs failed: {failed.parent.name}\n"
    assert "this one is broken" in failed.read_text()
