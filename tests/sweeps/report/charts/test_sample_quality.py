import json
from pathlib import Path
from typing import Any

import pytest

from mnist_vae import figures
from mnist_vae.sweeps.report import write_report
from mnist_vae.sweeps.report.charts import sample_quality as module
from mnist_vae.sweeps.report.charts.sample_quality import sample_quality
from mnist_vae.sweeps.results import read_sweep
from tests.sweeps.report.helpers import Page
from tests.synthetic import make_run


def evaluated(folder: Path, elbo: float, precision: float, count: int = 1000, by: str = "a", **settings: Any) -> None:
    values = {"run_test_elbo": elbo, "test/frechet_distance": 5.0, "test/precision": precision, "test/recall": 0.5}
    run = make_run(folder, elbo, **settings)
    (run / "evaluation.json").write_text(json.dumps(values | {"sample_count": count, "feature_classifier": by}))


def test_a_point_is_an_evaluated_configuration_by_its_means_over_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for beta, seed, precision in ((0.5, 0, 0.2), (1, 0, 0.4), (1, 1, 0.6), (4, 0, 0.9)):
        evaluated(tmp_path / f"{beta}{seed}", -100.0 - beta, precision, beta=beta, seed=seed)
    make_run(tmp_path / "other", -100.0, beta=8)
    drawn: list[Any] = []
    monkeypatch.setattr(figures, "sample_quality", lambda *drawing: drawn.append(drawing))
    monkeypatch.setattr(module, "embedded", lambda figure: None)
    sample_quality(read_sweep(tmp_path).groups[0])
    ((elbo, distance, precision, recall, curves, betas),) = drawn
    assert elbo == [-100.5, -101, -104] and precision == pytest.approx([0.2, 0.5, 0.9])
    assert distance == [5, 5, 5] and recall == [0.5, 0.5, 0.5]
    assert curves == [[0, 1, 2]] and betas == [0.5, 1, 4]


def test_it_is_in_the_report_if_two_configurations_compare(tmp_path: Path) -> None:
    evaluated(tmp_path / "a", -100.0, 0.5, beta=1)
    make_run(tmp_path / "b", -101.0, beta=2)
    assert sample_quality(read_sweep(tmp_path).groups[0]) is None
    assert "Quality of samples" not in Page(write_report(tmp_path)).text
    for beta, other in ((4, {"count": 2000}), (16, {"by": "b"})):
        evaluated(tmp_path / f"{beta}", -102.0, 0.5, beta=beta, **other)
        assert sample_quality(read_sweep(tmp_path).groups[0]) is None
        (tmp_path / f"{beta}" / "evaluation.json").unlink()
    evaluated(tmp_path / "d", -103.0, 0.5, beta=8)
    assert "Quality of samples" in Page(write_report(tmp_path)).text
