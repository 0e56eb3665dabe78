import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from mnist_vae.evaluation import evaluate, image_terms
from mnist_vae.loading import open_run

NATS = ("elbo", "reconstruction", "kl", "mutual_information", "marginal_kl")


@pytest.mark.parametrize("name", ["mlp", "plane", "conv"])
def test_it_agrees_with_the_runs_own_test_and_with_itself(runs: Path, name: str) -> None:
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
    assert values["test_images"] == 297 and values["classifier_images"] == 1500  # the held-out 200 included
    assert values["epochs"] == {"mlp": 3, "plane": 2, "conv": 1}[name] and values["dataset"] == "digits"


def test_standard_errors_are_those_of_a_mean_over_images(runs: Path) -> None:
    run = open_run(runs / "mlp")
    reconstruction, kl = image_terms(run.vae, run.data().test_split[0])
    values = evaluate(run)
    expected = np.std((reconstruction + kl).numpy(), ddof=1) / 297**0.5
    assert values["test/elbo_standard_error"] == pytest.approx(expected)
    p = float(values["test/knn_accuracy"])
    assert values["test/knn_accuracy_standard_error"] == pytest.approx((p * (1 - p) / 296) ** 0.5)


def test_classifiers_see_posterior_means_of_the_whole_training_set(runs: Path) -> None:
    run = open_run(runs / "mlp")
    data = run.data(val_size=0)
    with torch.no_grad():
        train, test = (run.vae.encode(split[0] / 255).mean.numpy() for split in (data.train_split, data.test_split))
    classifier = KNeighborsClassifier(5).fit(train, data.train_split[1].numpy())
    assert evaluate(run)["test/knn_accuracy"] == pytest.approx(classifier.score(test, data.test_split[1].numpy()))
