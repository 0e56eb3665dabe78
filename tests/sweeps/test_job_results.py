"""One job as read from its folder: its state, its settings, and what damage makes of it."""

import json
import math
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from mnist_vae.sweeps.job import running_mark
from mnist_vae.sweeps.job_results import Dataset, Job, read_job
from tests.synthetic import make_failure, make_run


def read(run: Path, planned: list[str] | None = None) -> Job:
    return read_job(run.parent, run.name, planned)


def state(run: Path) -> str:
    return read(run).state.value


def mark(run: Path, content: str = "{}") -> None:
    file = running_mark(run.parent, run.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def test_a_job_started_again_is_not_failed_any_more(tmp_path: Path) -> None:
    again = make_failure(make_run(tmp_path / "again"), "before.")
    assert state(again) == "failed"
    mark(again)
    assert state(again) == "running"
    assert state(make_failure(make_run(tmp_path / "done", -100.0), "before.")) == "complete"


def test_a_mark_whose_process_has_ended_does_not_count(tmp_path: Path) -> None:
    ended = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(ended, 0)
    here = socket.gethostname()
    run = make_run(tmp_path / "run")
    for host, process, expected in (
        (here, ended, "unfinished"),
        (here, os.getpid(), "running"),
        ("another machine", ended, "running"),
    ):
        mark(run, json.dumps({"host": host, "process": process}))
        assert state(run) == expected


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("metrics.json", '{"test/el'),
        ("metrics.json", "[1, 2]"),
        ("metrics.csv", "epoch,train/loss\n1,a\n"),
        (".hydra/config.yaml", "latent_dim: [2"),
        (".hydra/config.yaml", "latent_dim: ${beta}"),
        (".hydra/config.yaml", "\udcff"),
    ],
)
def test_a_damaged_file_makes_a_failed_job(tmp_path: Path, file: str, content: str) -> None:
    run = make_run(tmp_path / "bad", -90.0)
    (run / file).write_bytes(content.encode(errors="surrogateescape"))
    job = read(run)
    assert job.state.value == "failed" and job.failure is not None and f"bad/{file}" in job.failure.error


@pytest.mark.parametrize("content", ['{"error', "[]", "{}", '{"error": 3, "overrides": null, "traceback": null}'])
def test_a_damaged_failure_is_a_failure(tmp_path: Path, content: str) -> None:
    run = make_failure(tmp_path / "a", "")
    (run / "failed.json").write_text(content)
    assert state(run) == "failed"


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("metrics.json", "failed"),
        ("metrics.csv", "failed"),
        ("failed.json", "failed"),
        (".hydra/overrides.yaml", "failed"),
    ],
)
def test_a_folder_in_the_place_of_a_file_is_damage(tmp_path: Path, file: str, expected: str) -> None:
    run = make_run(tmp_path / "run", typed=False)
    (run / file).unlink(missing_ok=True)
    (run / file).mkdir()
    assert state(run) == expected


def test_groups_are_named_by_the_choices_that_hydra_noted(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", -100.0, model="conv", beta=2)
    assert read(run).settings["model"] == "conv" and read(run).dataset.likelihood == "bernoulli"
    (run / ".hydra" / "hydra.yaml").write_text("hydra: {runtime: [")
    damaged = read(run)
    assert damaged.state.value == "complete" and damaged.settings["model"] == "Conv"  # the class


def test_the_overrides_are_the_plans_then_the_runs_then_the_failures(tmp_path: Path) -> None:
    run = make_failure(make_run(tmp_path / "run", seed=1), "no.", overrides=["seed=2"])
    assert read(run, ["seed=3"]).overrides == ["seed=3"] and read(run).overrides == ["seed=1"]
    (run / ".hydra" / "overrides.yaml").unlink()
    assert read(run).overrides == ["seed=2"] and read(run).failure == ("no.", "ValueError", "")


@pytest.mark.parametrize(
    ("value", "expected"), [(2, 2.0), (-1.5, -1.5), (True, math.nan), (None, math.nan), ("text", math.nan)]
)
def test_a_metric_that_is_no_number_is_nan(tmp_path: Path, value: Any, expected: float) -> None:
    run = make_run(tmp_path / "run", -100.0)
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(metrics | {"nll": value, "train_seconds": value}))
    job = read(run)
    assert job.number("nll") == pytest.approx(expected, nan_ok=True) and math.isnan(job.number("absent"))
    assert job.seconds == (5.0 if math.isnan(expected) else expected)  # two epochs of 2.5 s


def test_the_dataset_is_that_of_the_metrics_and_of_the_config_before_there_are_any(tmp_path: Path) -> None:
    complete, begun = make_run(tmp_path / "a", -1.0), make_run(tmp_path / "b", data="digits", conditional=True)
    assert read(complete).dataset == Dataset("mnist", "none", "bernoulli", False)
    assert read(begun).dataset == Dataset("digits", "none", "bernoulli", True)


def test_a_single_run_has_the_name_of_its_folder(tmp_path: Path) -> None:
    assert read_job(make_run(tmp_path / "alone", -1.0), ".", None).name == "alone"


def test_what_an_evaluation_measured_is_among_the_metrics_if_it_was_made_beside_them(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", -100.0)
    alone = read(run).metrics
    measured = {"test/precision": 0.5, "train/precision": 0.9, "sample_count": 1000, "feature_classifier": "a1"}
    # Of an importance-weighted objective the evaluation's ELBO has fewer samples than the run's own.
    others = {"test/elbo": -100.5, "test/kl": 99.0, "seconds": 3.0, "complete": True, "checkpoint": "best"}
    others |= {"run_test_elbo": -100.0}
    wrong = {"test/a": "text", "test/b": None, "test/c": [1]}
    (run / "evaluation.json").write_text(json.dumps({**others, **measured, **wrong}))
    assert read(run).metrics == {**alone, **measured} and not read(run).outdated_evaluation
    for other in (-100.1, None, "x"):
        (run / "evaluation.json").write_text(json.dumps({**others, **measured, "run_test_elbo": other}))
        assert read(run).metrics == alone and read(run).outdated_evaluation
    huge = '{"run_test_elbo": -100, "test/a": 1' + "0" * 30 + "}"
    for content in ("{", "[]", "{}", "NaN", '"run_test_elbo"', huge, '{"run_test_elbo": -100, "sample_count": []}'):
        (run / "evaluation.json").write_text(content)
        assert read(run).metrics == alone and state(run) == "complete" and read(run).outdated_evaluation
    (run / "metrics.json").unlink()
    (run / "evaluation.json").write_text(json.dumps({**others, **measured}))
    assert read(run).metrics == {} and not read(run).outdated_evaluation
