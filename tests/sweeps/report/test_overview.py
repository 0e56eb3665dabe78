from pathlib import Path

import pytest

from mnist_vae.sweeps.report.overview import LONGEST, overview
from mnist_vae.sweeps.results import read_sweep
from mnist_vae.utils.text import MINUS
from tests.synthetic import make_failure, make_run


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def lines(sweep: Path, limit: int = 10) -> list[str]:
    return overview(read_sweep(sweep), limit).splitlines()


def test_the_best_configurations_of_each_group_are_listed(sweep: Path) -> None:
    for data in ("digits", "kmnist"):
        make_run(sweep / data, -20.0, data=data)
    found = lines(sweep, limit=1)
    assert found[0] == "mnist, binarize none, bernoulli likelihood"
    assert found[1].split()[:4] == ["beta", "seeds", "val", "ELBO"]
    assert found[2].split()[:6] == ["1", "1", "2", f"{MINUS}100.00", "±", "1.41"]
    assert found[3] == "   and 1 more, in report.html"
    assert found[4].startswith("Ranked by mean val/elbo over seeds (higher is better), on validation images only")
    assert sum("test ELBO" in line for line in found) == 3  # a table for each dataset
    assert found[-1] == "9 jobs: 6 complete, 1 failed, 1 unfinished, 1 waiting; 35 s of training"


def test_seeds_alone_are_not_ranked(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path / str(seed), -100.0, seed=seed)
    found = lines(tmp_path)
    assert found[2].split()[:2] == ["all", "seeds"] and "rank" not in "".join(found)
    assert found[3] == "No run is called best: there is only one configuration."


def test_runs_that_did_not_learn_are_named_below_the_table(tmp_path: Path) -> None:
    make_run(tmp_path / "a", -100.0, beta=1)
    for beta in range(2, 7):
        make_run(tmp_path / str(beta), -1e33, beta=beta)
    found = lines(tmp_path)
    assert "and 2 more" in found[-2] and found[-2].startswith("5 runs set apart, most likely diverged: beta=2; beta=3;")
    assert max(map(len, found)) < 130 and "6 jobs: 6 complete" in found[-1]


def test_text_of_a_stranger_is_one_short_printable_line(tmp_path: Path) -> None:
    for note in ("\x1b[31mred\n", "n" * 500):
        run = make_run(tmp_path / str(len(note)), -100.0, typed=False)
        config, metrics = run / ".hydra" / "config.yaml", run / "metrics.json"
        config.write_text(config.read_text() + f'note: "{note.encode("unicode_escape").decode()}"\n')
        metrics.write_text(metrics.read_text().replace('"none"', r'"\u001b[31m\n"'))
    found = lines(tmp_path)
    assert len(found) == 6 and all(line.isprintable() and len(line) < 130 for line in found)
    assert "n" * (LONGEST - 1) + "…" in "".join(found)


def make_different(top: Path) -> None:
    """Nine runs, each unlike the others in a setting of its own; all have the same latent_dim but one that failed."""
    for place in range(9):
        run = make_run(top / f"run-{place}", -100.0 - place, latent_dim=2)
        config = run / ".hydra" / "config.yaml"
        keys = [f"a_setting_{key}: {'special' if key == place else 'usual'}" for key in range(9)]
        config.write_text("\n".join([config.read_text(), *keys]))
    make_failure(top / "failed", "no.", overrides=["latent_dim=4"])


@pytest.mark.parametrize("width", [60, 80, 120])
def test_many_settings_fit_the_terminal(width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    make_different(tmp_path)
    found = lines(tmp_path)
    assert max(map(len, found)) <= width
    rows = found[2:11]
    assert [row.split()[:2] for row in rows] == [[str(rank), f"{MINUS}{98 + rank}.00"] for rank in range(1, 10)]
    # Eight settings tell nine runs apart, so the last run has the usual ones.
    assert [row.split()[-1] for row in rows[:-1]] == [f"a_setting_{place}=special" for place in range(8)]
    rest = " ".join(found[11:])
    assert rest.count("report.html") == 1 and all(f"a_setting_{key}=usual" in rest for key in range(8))


def test_the_last_metrics_are_left_out_first(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "75")
    found = lines(sweep)
    assert max(map(len, found)) <= 75
    assert found[1].split() == ["beta", "seeds", "val", "ELBO", "test", "ELBO", "reconstruction"]
    assert found[4] == "In report.html: KL, active units"


def test_a_setting_that_is_the_same_in_all_runs_is_no_column(tmp_path: Path) -> None:
    for beta in (1, 2):
        make_run(tmp_path / str(beta), -100.0, beta=beta, latent_dim=2)
    make_run(tmp_path / "diverged", -1e33, beta=1, latent_dim=4)
    found = lines(tmp_path)
    assert "latent_dim" not in found[1] and found[4] == "All with latent_dim=2"
