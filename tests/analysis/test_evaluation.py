import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from mnist_vae.analysis.evaluation import evaluate, image_terms
from mnist_vae.runs.load import open_run
from tests.conftest import Done

NATS = ("elbo", "reconstruction", "kl", "mutual_information", "marginal_kl", "total_correlation")


@pytest.mark.parametrize("name", ["mlp", "plane", "conv"])
def test_values_are_consistent_and_equal_the_metrics_of_the_run(runs: Path, name: str) -> None:
    values = evaluate(open_run(runs / name))
    assert json.loads((runs / name / "evaluation.json").read_text()) == values
    metrics = json.loads((runs / name / "metrics.json").read_text())
    for key in ("test/elbo", "test/reconstruction", "test/kl", "test/active_units"):
        assert values[key] == pytest.approx(metrics[key], rel=1e-6), key
    v = {key: float(values[f"test/{key}"]) for key in NATS}
    assert v["elbo"] == pytest.approx(-(v["reconstruction"] + v["kl"]))
    assert v["kl"] == pytest.approx(v["mutual_information"] + v["marginal_kl"])
    assert 0 < v["mutual_information"] <= np.log(297)
    for key in (*NATS, "knn_accuracy", "logistic_regression_accuracy"):
        assert 0 < float(values[f"test/{key}_standard_error"]) < 10
    assert values["test_images"] == 297 and values["classifier_images"] == 1500  # including the 200 validation images
    assert values["epochs"] == {"mlp": 3, "plane": 2, "conv": 1}[name] and values["dataset"] == "digits"


def test_standard_errors_are_those_of_a_mean_over_images(runs: Path) -> None:
    run = open_run(runs / "mlp")
    reconstruction, kl = image_terms(run.vae, *run.data().test_split)
    values = evaluate(run)
    expected = np.std((reconstruction + kl).numpy(), ddof=1) / 297**0.5
    assert values["test/elbo_standard_error"] == pytest.approx(expected)
    p = float(values["test/knn_accuracy"])
    assert values["test/knn_accuracy_standard_error"] == pytest.approx((p * (1 - p) / 296) ** 0.5)


def test_classifiers_are_fitted_on_posterior_means_of_the_whole_training_set(runs: Path) -> None:
    run = open_run(runs / "mlp")
    data = run.data(val_size=0)
    with torch.no_grad():
        train, test = (run.vae.encode(split[0] / 255).mean.numpy() for split in (data.train_split, data.test_split))
    classifier = KNeighborsClassifier(5).fit(train, data.train_split[1].numpy())
    assert evaluate(run)["test/knn_accuracy"] == pytest.approx(classifier.score(test, data.test_split[1].numpy()))


def test_the_nll_is_below_the_negative_elbo_and_has_error_estimates(runs: Path) -> None:
    values = evaluate(open_run(runs / "mlp"), nll_samples=100)
    assert json.loads((runs / "mlp" / "evaluation.json").read_text()) == values
    v = {key: float(value) for key, value in values.items() if key.startswith("test/")}
    assert -v["test/elbo"] - 20 < v["test/nll"] < -v["test/elbo"]
    assert 0 < v["test/nll_monte_carlo_error"] < v["test/nll_standard_error"] < 10
    assert 1 < v["test/nll_effective_samples"] < 100 and values["nll_samples"] == 100
    assert evaluate(open_run(runs / "mlp"), nll_samples=100)["test/nll"] == v["test/nll"]
    assert evaluate(open_run(runs / "mlp"))["test/nll"] == v["test/nll"]  # the finished estimate is included
    assert not any("nll" in key for key in evaluate(open_run(runs / "mlp", "last")))
    assert "test/nll_monte_carlo_error" not in evaluate(open_run(runs / "mlp"), nll_samples=1)


def test_the_script_prints_the_nll(tool: Callable[..., Done], runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # so that all columns of the table are in one block
    done = tool("evaluate", f"run={runs}/mlp", "nll.samples=20")
    assert done.returncode == 0 and done.stderr == ""
    values = json.loads((runs / "mlp" / "evaluation.json").read_text())
    line = next(line for line in done.stdout.splitlines() if line.startswith("NLL  "))
    assert f"{values['test/nll']:.3f} ± {values['test/nll_standard_error']:.3f} nats" in line
    assert re.search(r"^NLL: \d+ of 20 samples per image are effective .*; Monte Carlo error 0.", done.stdout, re.M)
    table = tool("evaluate", f"run={runs}", "nll.samples=1").stdout.splitlines()
    assert table[0].split()[-2:] == ["NLL", "effective"] and table[1].endswith("1 of 1")
    assert table[-3] == "NLL: effective samples per image, of all that were drawn (median image)"
    assert "the NLL is overestimated" in table[-2]


def test_a_negative_number_of_samples_is_an_error(tool: Callable[..., Done], runs: Path) -> None:
    done = tool("evaluate", f"run={runs}/mlp", "nll.samples=-1")
    assert done.returncode == 1 and done.stderr == "error: nll.samples=-1: it must be 0 or more.\n"
    assert "nll.samples" in tool("evaluate", "--help").stdout
