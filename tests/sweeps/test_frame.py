import math
from pathlib import Path

import pandas as pd

from mnist_vae.sweeps.frame import history_frame, job_rows, jobs_frame
from mnist_vae.sweeps.results import read_sweep
from tests.synthetic import make_run


def make_sweep(folder: Path) -> None:
    for beta, seed, elbo in ((1, 0, -100.0), (1, 1, -102.0), (4, 0, -110.5)):
        make_run(folder / f"beta={beta},seed={seed}", elbo, beta=beta, seed=seed)
    failed = folder / "beta=9"
    make_run(failed, -1.0, beta=9, seed=0)
    (failed / "metrics.json").unlink()
    (failed / "failed.json").write_text('{"error": "it broke.", "type": "ValueError", "traceback": ""}')


def test_a_row_per_job_with_numbers_as_numbers(tmp_path: Path) -> None:
    make_sweep(tmp_path)
    frame = jobs_frame(read_sweep(tmp_path))
    assert list(frame["job"]) == ["beta=1,seed=0", "beta=1,seed=1", "beta=4,seed=0", "beta=9"]
    assert list(frame["state"]) == ["complete"] * 3 + ["failed"] and list(frame["beta"]) == [1, 1, 4, 9]
    assert pd.api.types.is_numeric_dtype(frame["test/elbo"]) and pd.api.types.is_numeric_dtype(frame["beta"])
    assert frame["test/elbo"].iloc[2] == -110.5 and math.isnan(frame["test/elbo"].iloc[3])
    assert frame["note"].iloc[3] == "it broke." and frame["folder"].iloc[0] == str(tmp_path / "beta=1,seed=0")
    assert frame.groupby("beta")["test/elbo"].mean().loc[1] == -101


def test_a_note_says_that_an_evaluation_is_left_out(tmp_path: Path) -> None:
    make_sweep(tmp_path)
    (tmp_path / "beta=4,seed=0" / "evaluation.json").write_text('{"run_test_elbo": -110.0, "test/nll": 100.0}')
    notes = dict(zip(*(jobs_frame(read_sweep(tmp_path))[key] for key in ("job", "note")), strict=True))
    assert "run scripts/evaluate.py again" in notes["beta=4,seed=0"] and not notes["beta=1,seed=0"]


def test_learning_curves_in_long_form(tmp_path: Path) -> None:
    make_sweep(tmp_path)
    sweep = read_sweep(tmp_path)
    history = history_frame(sweep)
    assert list(history.columns) == ["job", *sweep.keys, "epoch", "seconds", "metric", "value"]
    assert pd.api.types.is_integer_dtype(history["epoch"]) and history["value"].notna().all()
    for job in sweep.jobs:
        for metric in ("val/elbo", "train/loss"):
            curve = history[(history["job"] == job.name) & (history["metric"] == metric)]
            assert list(curve["value"]) == [row[metric] for row in job.rows if metric in row]
            assert list(curve["epoch"]) == [row["epoch"] for row in job.rows if metric in row]


def test_a_sweep_that_has_not_begun_has_no_curves(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text('{"jobs": {"beta=1": ["beta=1"], "beta=2": ["beta=2"]}}')
    sweep = read_sweep(tmp_path)
    assert history_frame(sweep).empty and [row["state"] for row in job_rows(sweep)] == ["waiting", "waiting"]
