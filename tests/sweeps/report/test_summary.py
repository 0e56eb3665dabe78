import csv
import io
from pathlib import Path

from mnist_vae.sweeps.report.summary import summary_csv
from mnist_vae.sweeps.results import read_sweep
from mnist_vae.utils.text import MINUS
from tests.synthetic import make_run


def rows(sweep: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(summary_csv(read_sweep(sweep)))))


def test_there_is_a_row_per_job(sweep: Path) -> None:
    found = rows(sweep)
    assert [row["state"] for row in found] == ["complete"] * 4 + ["unfinished", "failed", "waiting"]
    assert [row["rank"] for row in found] == ["1", "1", "2", "2", "", "", ""]
    assert float(found[1]["test/elbo"]) == -102 and (found[1]["beta"], found[1]["seed"]) == ("1", "1")
    assert found[5]["note"] == "it broke." and found[5]["test/elbo"] == "" and found[6]["beta"] == "16"


def test_the_note_says_why_a_complete_run_has_no_rank(tmp_path: Path) -> None:
    for beta, elbo in ((1, -100.0), (2, -123456789.125)):
        make_run(tmp_path / str(beta), elbo, beta=beta, val_size=0)
    ranked, apart = rows(tmp_path)
    assert ranked["note"] == "no rank: no images are held out for validation (data.val_size=0)"
    assert apart["note"] == f"set apart: val/elbo is below {MINUS}10,000,000"
    assert (ranked["rank"], apart["rank"], apart["test/elbo"]) == ("", "", "-123456789.125")  # values in full
