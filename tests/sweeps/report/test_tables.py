import csv
import io
from pathlib import Path

import pytest

from mnist_vae.sweeps.report import tables
from mnist_vae.sweeps.report.tables import Cell, Table
from mnist_vae.sweeps.report.text import DASH, MINUS
from mnist_vae.sweeps.results import read_sweep
from tests.synthetic import make_run


def test_summary_has_a_row_per_job(sweep: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(tables.summary_csv(read_sweep(sweep)))))
    assert [row["state"] for row in rows] == ["complete"] * 4 + ["unfinished", "failed", "waiting"]
    assert float(rows[1]["test/elbo"]) == -102 and (rows[1]["beta"], rows[1]["seed"]) == ("1", "1")
    assert rows[5]["error"] == "it broke." and rows[5]["test/elbo"] == "" and rows[6]["beta"] == "16"


def test_the_overview_has_the_best_runs_of_each_group(sweep: Path) -> None:
    for data in ("digits", "kmnist"):
        make_run(sweep / data, -20.0, data=data)
    lines = tables.overview(read_sweep(sweep), limit=2).splitlines()
    assert lines[0] == "mnist, binarize none, bernoulli likelihood"
    assert [line.split()[:4] for line in lines[2:4]] == [
        ["1", "1", "0", f"{MINUS}100.00"],
        ["2", "1", "1", f"{MINUS}102.00"],
    ]
    assert lines[4] == "   and 2 more" and sum("test ELBO" in line for line in lines) == 3  # a table for each dataset
    assert lines[-1] == "9 jobs: 6 complete, 1 failed, 1 unfinished, 1 waiting; 35 s of training"


def test_a_group_without_several_seeds_has_no_table_of_them(tmp_path: Path) -> None:
    for seed, beta in ((0, 1), (1, 2)):
        make_run(tmp_path / str(beta), -100.0, beta=beta, seed=seed)
    assert tables.seeds(read_sweep(tmp_path).groups[0]) is None and tables.unfinished(read_sweep(tmp_path)) is None


def test_runs_without_a_finite_elbo_have_no_rank(tmp_path: Path) -> None:
    make_run(tmp_path / "a", float("nan"), beta=1)
    make_run(tmp_path / "b", -100.0, beta=2)
    (group,) = read_sweep(tmp_path).groups
    assert [(row[0].text, row[2].text) for row in tables.ranking(group, tmp_path).rows] == [("1", "2"), (DASH, "1")]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (0.000152533854605, Cell("0.0001525", 0.000152533854605)),
        (16, Cell("16", 16.0)),
        (True, Cell("true")),
        ([400, 200], Cell("[400,200]")),
        ("conv", Cell("conv")),
    ],
)
def test_a_setting_that_is_a_number_is_sorted_as_one(value: object, cell: Cell, tmp_path: Path) -> None:
    job = read_sweep(make_run(tmp_path / "a", -1.0)).jobs[0]
    job.settings["key"] = value
    assert tables.setting(job, "key") == cell and tables.setting(job, "absent") == Cell(DASH)


def test_cells_are_sorted_by_number_then_text_and_unknown_ones_last() -> None:
    keys = [Cell("1", 1.0).key, Cell("conv").key, Cell(DASH).key, Cell(DASH, float("nan")).key]
    assert keys == ["1.0", "conv", "", ""]
    assert Table(["a", "b"], [[Cell("1", 1.0), Cell("x")], [Cell(DASH), Cell("y")]]).numeric == [True, False]
