import json
from pathlib import Path

import pytest

from mnist_vae.sweeps.ranking import Group
from mnist_vae.sweeps.report import tables
from mnist_vae.sweeps.report.tables import Cell, Table
from mnist_vae.sweeps.results import read_sweep
from mnist_vae.utils.text import DASH, MINUS
from tests.synthetic import make_failure, make_run


def group(folder: Path) -> Group:
    (found,) = read_sweep(folder).groups
    return found


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_runs_have_the_rank_of_their_configuration(tmp_path: Path) -> None:
    for beta, seed, elbo in ((1, 0, -103.0), (1, 1, -101.0), (4, 0, -100.0), (4, 1, -110.0)):
        make_run(tmp_path / f"{beta}{seed}", elbo, beta=beta, seed=seed)
    table = tables.runs(group(tmp_path), tmp_path)
    assert table.headings[:6] == ["rank", "files", "beta", "seed", "val ELBO", "test ELBO"]
    assert [[row[0], *row[2:6]] for row in texts(table)] == [
        ["1", "1", "0", f"{MINUS}102.00", f"{MINUS}103.00"],
        ["1", "1", "1", f"{MINUS}100.00", f"{MINUS}101.00"],
        ["2", "4", "0", f"{MINUS}99.00", f"{MINUS}100.00"],
        ["2", "4", "1", f"{MINUS}109.00", f"{MINUS}110.00"],
    ]


def test_configurations_have_means_over_seeds_and_how_many_of_them_were_lost(tmp_path: Path) -> None:
    for beta, seed, elbo in ((1, 0, -100.0), (1, 1, -102.0), (4, 0, -110.0), (4, 1, -1e9)):
        make_run(tmp_path / f"{beta}{seed}", elbo, beta=beta, seed=seed)
    make_failure(make_run(tmp_path / "42", beta=4, seed=2), "no.")
    table = tables.configurations(group(tmp_path))
    assert table.headings[:5] == ["rank", "beta", "seeds", "val ELBO", "test ELBO"]
    assert [row[:5] for row in texts(table)] == [
        ["1", "1", "2", f"{MINUS}100.00 ± 1.41", f"{MINUS}101.00 ± 1.41"],  # the square root of (1 + 1) / (2 - 1)
        ["2", "4", "1 of 3", f"{MINUS}109.00", f"{MINUS}110.00"],
    ]
    assert "on validation images only" in tables.how_ranked(group(tmp_path))


def test_without_ranks_there_is_no_column_of_them_and_a_sentence_says_why(tmp_path: Path) -> None:
    for beta in (1, 2):
        make_run(tmp_path / str(beta), -100.0, beta=beta, monitor=None)
    found = group(tmp_path)
    assert "rank" not in [*tables.runs(found, tmp_path).headings, *tables.configurations(found).headings]
    assert tables.how_ranked(found) == "No run is called best: monitor=null is no metric of validation images."


def test_the_metric_that_ranks_comes_first_and_absent_ones_are_left_out(tmp_path: Path) -> None:
    for beta in (1, 2):
        file = make_run(tmp_path / str(beta), -100.0, beta=beta, monitor="val/kl") / "metrics.json"
        file.write_text(file.read_text().replace("val/elbo", "val/kl"))
    assert list(tables.metrics_of(group(tmp_path)))[:2] == ["val/kl", "test/elbo"]
    assert "val/elbo" not in tables.metrics_of(group(tmp_path))


def test_what_evaluations_measured_has_columns_with_dashes_where_a_run_was_not_evaluated(tmp_path: Path) -> None:
    for beta in (1, 2):
        make_run(tmp_path / str(beta), -100.0 - beta, beta=beta)
    assert tables.runs(group(tmp_path), tmp_path).headings[8:10] == ["epochs", "parameters"]
    values = {"run_test_elbo": -101.0, "test/frechet_distance": 12.345, "test/precision": 0.5, "test/recall": 0.25}
    (tmp_path / "1" / "evaluation.json").write_text(json.dumps(values))
    table = tables.runs(group(tmp_path), tmp_path)
    place = table.headings.index("Fréchet distance")
    assert table.headings[place : place + 4] == ["Fréchet distance", "precision", "recall", "epochs"]
    assert [row[place : place + 3] for row in texts(table)] == [["12.35", "0.50", "0.25"], [DASH, DASH, DASH]]


def test_an_nll_has_its_number_of_samples_beside_it(tmp_path: Path) -> None:
    """It decreases with them, so that those of different numbers do not compare."""
    for beta, samples in ((1, 500), (2, 5000)):
        make_run(tmp_path / str(beta), -100.0, beta=beta)
        values = {"run_test_elbo": -100.0, "test/nll": 98.0, "nll_samples": samples}
        (tmp_path / str(beta) / "evaluation.json").write_text(json.dumps(values))
    table = tables.runs(group(tmp_path), tmp_path)
    place = table.headings.index("NLL")
    assert table.headings[place + 1] == "NLL samples"
    assert sorted(row[place + 1] for row in texts(table)) == ["5,000", "500"]


def test_runs_set_apart_have_a_table_of_their_own(tmp_path: Path) -> None:
    make_run(tmp_path / "a", -100.0, beta=1)
    make_run(tmp_path / "b", -3.639e33, beta=2)
    sweep = read_sweep(tmp_path)
    table = tables.apart(sweep)
    assert table is not None
    assert [row[:4] for row in texts(table)] == [
        ["beta=2", f"val/elbo is below {MINUS}10,000,000", f"{MINUS}3.639e+33", f"{MINUS}3.639e+33"]
    ]
    assert len(tables.runs(sweep.groups[0], tmp_path).rows) == 1
    (tmp_path / "b" / "metrics.json").unlink()
    assert tables.apart(read_sweep(tmp_path)) is None


def test_jobs_that_are_not_complete_are_listed(tmp_path: Path) -> None:
    make_run(tmp_path / "a", -100.0)
    assert tables.unfinished(read_sweep(tmp_path)) is None
    make_run(tmp_path / "b")
    assert [row[:4] for row in texts(tables.unfinished(read_sweep(tmp_path)))] == [  # type: ignore[arg-type]
        ["b", "unfinished", "2 of 4", f"{MINUS}140.00"]
    ]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (0.000152533854605, Cell("0.0001525", 0.000152533854605)),
        (16, Cell("16", 16.0)),
        (10**14, Cell("1e+14", 1e14)),
        (True, Cell("true")),
        ([400, 200], Cell("[400,200]")),
        ("conv", Cell("conv")),
    ],
)
def test_a_setting_that_is_a_number_is_sorted_as_one(value: object, cell: Cell, tmp_path: Path) -> None:
    job = read_sweep(make_run(tmp_path / "a", -1.0)).jobs[0]
    job.settings["key"] = value
    assert tables.setting(job, "key") == cell and tables.setting(job, "absent") == Cell(DASH)


def test_a_seed_is_shown_whole_since_it_is_a_name(tmp_path: Path) -> None:
    job = read_sweep(make_run(tmp_path / "a", -1.0, seed=2**52 + 1)).jobs[0]
    assert tables.setting(job, "seed").text == "4503599627370497"


def test_cells_are_sorted_by_number_then_text_and_unknown_ones_last() -> None:
    keys = [Cell("1", 1.0).key, Cell("conv").key, Cell(DASH).key, Cell(DASH, float("nan")).key]
    assert keys == ["1.0", "conv", "", ""]
    assert Table(["a", "b"], [[Cell("1", 1.0), Cell("x")], [Cell(DASH), Cell("y")]]).numeric == [True, False]


def test_a_run_links_to_its_figures_but_not_to_those_of_a_link_to_elsewhere(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_run(tmp_path / "sweep" / name, -100.0, beta=ord(name))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.png").touch()
    (tmp_path / "sweep" / "b" / "figures").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "sweep" / "a" / "figures").mkdir()
    for file in ("curves.png", "latent_space.png", "results.png", "training.gif", "notes.txt"):
        (tmp_path / "sweep" / "a" / "figures" / file).touch()
    first, second = (row[1] for row in tables.runs(group(tmp_path / "sweep"), tmp_path / "sweep").rows)
    assert first.links == {"folder": "./a/"} and second.figures == {}
    assert first.figures == {
        "results": "./a/figures/results.png",
        "curves": "./a/figures/curves.png",
        "latent space": "./a/figures/latent_space.png",
        "training": "./a/figures/training.gif",
    }


def test_each_run_has_a_row_with_an_identifier_of_its_own(tmp_path: Path) -> None:
    for beta in (1, 2):
        make_run(tmp_path / str(beta), -100.0 * beta, beta=beta)
    table, jobs = tables.runs(group(tmp_path), tmp_path), read_sweep(tmp_path).jobs
    assert table.anchors == [tables.anchor(job) for job in jobs] and len(set(table.anchors)) == 2
    assert all(anchor.startswith("run-") and anchor.replace("-", "").isalnum() for anchor in table.anchors)


def test_columns_are_the_settings_that_vary_within_the_group(tmp_path: Path) -> None:
    for place, data in enumerate(("mnist", "mnist", "digits")):
        make_run(tmp_path / str(place), -100.0, data=data, beta=1 + place, latent_dim=2 if data == "mnist" else 4)
    mnist, digits = read_sweep(tmp_path).groups
    assert (tables.columns(mnist), tables.constants(mnist)) == (["beta"], "latent_dim=2")
    assert (tables.columns(digits), tables.constants(digits)) == ([], "beta=3, latent_dim=4")
    assert tables.runs(digits, tmp_path).headings[:2] == ["files", "run"]
    assert tables.configurations(digits).rows[0][0].text == "2"
