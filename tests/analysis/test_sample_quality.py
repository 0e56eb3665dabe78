import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mnist_vae.analysis import feature_classifier
from mnist_vae.analysis.evaluation import evaluate
from mnist_vae.analysis.generation import sample
from mnist_vae.analysis.sample_quality import Manifold, compare, frechet_distance, sample_images
from mnist_vae.data.binarize import Binarize
from mnist_vae.models.likelihoods import Autoregressive, Bernoulli
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.priors.standard_normal import StandardNormal
from mnist_vae.models.vae import VAE
from mnist_vae.runs.load import open_run
from tests.conftest import Done


def normal(count: int, dimensions: int, seed: int = 0) -> Tensor:
    return torch.randn(count, dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def with_moments(mean: Tensor, covariance: Tensor, seed: int) -> Tensor:
    """Features whose mean and sample covariance are exactly these."""
    draws = normal(50, len(mean), seed)
    draws = draws - draws.mean(dim=0)
    white = draws @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(draws.T)).T)
    return mean + white @ torch.linalg.cholesky(covariance).T


def test_the_frechet_distance_of_normals_with_diagonal_covariances_has_a_closed_form() -> None:
    mean, other_mean = torch.tensor([[1.0, 2.0, 0.0], [0.0, 2.5, 3.0]], dtype=torch.float64)
    std, other_std = torch.tensor([[1.0, 0.5, 2.0], [3.0, 0.5, 0.1]], dtype=torch.float64)
    first = with_moments(mean, torch.diag(std**2), seed=0)
    second = with_moments(other_mean, torch.diag(other_std**2), seed=1)
    expected = (mean - other_mean).square().sum() + (std - other_std).square().sum()
    assert frechet_distance(first, second) == pytest.approx(expected.item(), rel=1e-9)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_the_frechet_distance_of_features_with_a_singular_covariance_is_finite() -> None:
    flat = normal(30, 5) * torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0])
    assert frechet_distance(flat, flat) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(flat, flat + torch.tensor([0.0, 0.0, 2.0, 0.0, 0.0])) == pytest.approx(4, abs=1e-6)


def brute_force(points: Tensor, others: Tensor, k: int) -> float:
    """Share of points that are no further from one of the others than its k-th neighbour among the others."""
    count = 0
    for point in points:
        for place, centre in enumerate(others):
            apart = sorted((centre - other).norm().item() for i, other in enumerate(others) if i != place)
            if (point - centre).norm().item() <= apart[k - 1]:
                count += 1
                break
    return count / len(points)


@pytest.mark.parametrize("k", [1, 3])
def test_shares_are_those_of_all_pairs_also_in_several_parts(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_vae.analysis.sample_quality.MAX_PAIRS", 50)
    points, others = normal(20, 3, 1) * 1.3, normal(15, 3, 2)
    share = Manifold.of(others, k).share_within(points)
    assert share == pytest.approx(brute_force(points, others, k)) and 0 < share < 1


def precision_and_recall(samples: Tensor, images: Tensor) -> tuple[float, float]:
    measured = compare(samples, Manifold.of(images))
    return measured["precision"], measured["recall"]


def test_known_cases_of_precision_and_recall() -> None:
    images = normal(200, 4)
    assert precision_and_recall(images, images) == (1, 1)
    assert precision_and_recall(images + 100, images) == (0, 0)
    collapsed = images[:1] + 1e-3 * normal(200, 4, 1)
    precision, recall = precision_and_recall(collapsed, images)
    assert precision == 1 and recall < 0.05
    half = torch.cat([images[:100], images[:100] + 100])  # half of the samples are images, and half are none
    assert precision_and_recall(half, images)[0] == 0.5
    apart = torch.cat([images[:100], images[:100] + 100])
    assert precision_and_recall(images[:100], apart) == (1, 0.5)  # one of two modes is missing


def tiny_vae(classes: int = 0) -> VAE:
    torch.manual_seed(0)
    network = MLP((1, 4, 4), 2 + classes, 1, hidden_dims=[8], activation="relu")
    return VAE(network, Bernoulli(), StandardNormal(2), classes=classes)


def test_samples_of_grey_data_are_means_and_those_of_binarised_data_are_drawn_with_them() -> None:
    vae, labels = tiny_vae(), torch.zeros(400, dtype=torch.int64)
    grey = sample_images(vae, labels, Binarize.none)
    for how in (Binarize.dynamic, Binarize.threshold):
        bits = sample_images(vae, labels, how)
        assert bits.shape == grey.shape == (400, 1, 4, 4) and set(bits.unique().tolist()) == {0.0, 1.0}
        assert (bits - grey).mean().abs() < 0.02  # four standard deviations of the mean of 6,400 pixels
    assert len(grey.unique()) > 1000 and torch.equal(grey, sample_images(vae, labels, Binarize.none))


def test_samples_of_an_autoregressive_likelihood_are_images_of_it() -> None:
    """Under it each pixel repeats the one left of it, which pixels that are drawn apart from each other do not."""
    vae = tiny_vae()
    vae.likelihood = likelihood = Autoregressive((1, 4, 4), features=2, kernel_size=3)
    vae.decoder = nn.Sequential(nn.Linear(2, 3 * 16), nn.Unflatten(1, (3, 4, 4)))
    for weight in (*vae.decoder.parameters(), *likelihood.parameters()):
        nn.init.zeros_(weight)
    with torch.no_grad():
        likelihood.context.weight[0, 0, -1, 0] = 1  # the first feature is the pixel on the left
        likelihood.mixing.weight[0, 0] = 1
        likelihood.change.weight[0, 0] = 20
        vae.decoder[0].bias[:16].reshape(4, 4)[:, 1:] = -10
    bits = sample_images(vae, torch.zeros(300, dtype=torch.int64), Binarize.dynamic)
    assert (bits == bits[..., :1]).float().mean() > 0.999  # each row is 0 or 1 as its first pixel is
    assert abs(bits.mean().item() - 0.5) < 0.07


def test_samples_of_a_conditional_model_have_the_labels_of_the_images() -> None:
    vae, labels = tiny_vae(3), torch.tensor([2, 0, 1, 1, 2])
    with torch.no_grad():
        vae.label_scale.fill_(30)
    codes, expected = sample(vae, 5, 20140414, labels=labels)
    torch.testing.assert_close(sample_images(vae, labels, Binarize.none), expected)
    assert (expected - vae.decode(codes, torch.tensor(0)).detach()).abs().amax(dim=(1, 2, 3)).gt(0.01).tolist() == [
        True,
        False,
        True,
        True,
        True,
    ]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(feature_classifier, "STEPS", 60)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_training_images_are_closer_than_samples_and_an_earlier_estimate_is_included(
    runs: Path, name: str, quick: None
) -> None:
    values = evaluate(open_run(runs / name), sample_count=200)
    v = {key: float(value) for key, value in values.items() if key.startswith(("test/", "train/"))}
    assert 0 < v["train/frechet_distance"] < v["test/frechet_distance"] / 2
    assert v["train/precision"] > 0.6 and v["train/recall"] > 0.6 and v["test/recall"] < v["train/recall"]
    assert 0 <= v["test/precision"] <= 1 and 0 <= v["test/recall"] <= 1
    assert values["sample_count"] == 200 and 0.3 < float(values["feature_classifier_accuracy"]) <= 1
    later = evaluate(open_run(runs / name))
    assert (
        {**later, "seconds": 0}
        == {**values, "seconds": 0}
        == {**evaluate(open_run(runs / name), sample_count=200), "seconds": 0}
    )
    assert "sample_count" not in evaluate(open_run(runs / name, "last"))
    file = runs / name / "evaluation.json"
    file.write_text(json.dumps(values | {"sample_digest": "0" * 64}))
    assert "sample_count" not in evaluate(open_run(runs / name))


def test_the_script_prints_the_quality_beside_that_of_training_images(
    tool: Callable[..., Done], runs: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    done = tool("evaluate", f"run={runs}/mlp", "samples.count=100")
    assert done.returncode == 0 and done.stderr == ""
    values = json.loads((runs / "mlp" / "evaluation.json").read_text())
    for heading, name in (("Fréchet distance", "frechet_distance"), ("precision", "precision"), ("recall", "recall")):
        assert re.search(rf"^{heading} +{values[f'test/{name}']:,.3f}$", done.stdout, re.M)
        assert re.search(
            rf"training images in their place have .*{heading} {values[f'train/{name}']:,.3f}", done.stdout
        )
    assert "samples: 100, in features of a classifier of digits of accuracy " in done.stdout
    lines = tool("evaluate", f"run={runs}").stdout.splitlines()
    assert lines[0].split()[-3:] == ["Fréchet", "precision", "recall"]
    dash = "\N{EN DASH}"
    assert lines[1].split()[-3:] == [dash, dash, dash]  # conv, for which it was never measured
    assert lines[2].split()[-3:] == [
        f"{values[f'test/{name}']:,.3f}" for name in ("frechet_distance", "precision", "recall")
    ]


@pytest.mark.parametrize("count", [-1, 3, 298])
def test_a_number_of_samples_that_cannot_be_compared_is_an_error(
    tool: Callable[..., Done], runs: Path, count: int
) -> None:
    done = tool("evaluate", f"run={runs}/mlp", f"samples.count={count}")
    assert done.returncode == 1 and done.stderr == (
        f"error: samples.count={count}: as many samples are compared with as many test images, of which digits has "
        "297; it must be 0, or from 4 to 297.\n"
    )
