import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from mnist_vae.analysis.evaluation import evaluate, image_terms, results_file
from mnist_vae.cli.commands.evaluate import PARTS as PARTS_OF_THE_KL
from mnist_vae.cli.commands.evaluate import card, table
from mnist_vae.data.binarize import Binarize
from mnist_vae.models.likelihoods import Bernoulli
from mnist_vae.models.posteriors import Coupling, InverseAutoregressive, Ladder, PosteriorLayer
from mnist_vae.models.priors import Hierarchical
from mnist_vae.runs.load import open_run
from mnist_vae.sweeps.job_results import read_job
from mnist_vae.utils.text import DASH, number
from tests.conftest import Done
from tests.models.helpers import SHAPE, small_vae
from tests.models.priors.helpers import randomised

PARTS = ("mutual_information", "mutual_information_upper", "marginal_kl", "marginal_kl_lower", "total_correlation")
NATS = ("elbo", "reconstruction", "kl", *PARTS, "total_correlation_lower")


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
    assert v["kl"] == pytest.approx(v["mutual_information_upper"] + v["marginal_kl_lower"])
    assert 0 < v["mutual_information"] <= np.log(297) and v["mutual_information"] < v["mutual_information_upper"]
    assert v["total_correlation_lower"] < v["total_correlation"]
    assert values["grey_levels_as_probabilities"] is (values["binarize"] == "none")
    for key in ("elbo", "kl", "mutual_information", "marginal_kl", "knn_accuracy", "logistic_regression_accuracy"):
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


def test_a_report_recognises_it_by_the_runs_own_elbo_for_which_other_samples_may_have_been_drawn(runs: Path) -> None:
    file = runs / "mlp" / "metrics.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "test/elbo": -1.0}))
    evaluate(open_run(runs / "mlp"))
    assert "test/knn_accuracy" in read_job(runs / "mlp", ".", None).metrics
    file.write_text(json.dumps({**json.loads(file.read_text()), "test/elbo": -2.0}))
    assert "test/knn_accuracy" not in read_job(runs / "mlp", ".", None).metrics


def test_the_nll_is_below_the_negative_elbo_and_has_error_estimates(runs: Path) -> None:
    values = evaluate(open_run(runs / "mlp"), nll_samples=100)
    assert json.loads((runs / "mlp" / "evaluation.json").read_text()) == values
    v = {key: float(value) for key, value in values.items() if key.startswith("test/")}
    assert -v["test/elbo"] - 20 < v["test/nll"] < -v["test/elbo"]
    assert v["test/nll"] < v["test/nll_half"] < v["test/nll"] + 1
    assert 0 < v["test/nll_monte_carlo_error"] < v["test/nll_standard_error"] < 10
    assert 1 < v["test/nll_effective_samples"] < 100 and values["nll_samples"] == 100
    assert evaluate(open_run(runs / "mlp"), nll_samples=100)["test/nll"] == v["test/nll"]
    assert evaluate(open_run(runs / "mlp"))["test/nll"] == v["test/nll"]  # the finished estimate is included
    assert not any("nll" in key for key in evaluate(open_run(runs / "mlp", "last")))
    assert not {"test/nll_monte_carlo_error", "test/nll_half"} & evaluate(open_run(runs / "mlp"), nll_samples=1).keys()


def test_other_pixels_are_scored_into_files_of_their_own(runs: Path) -> None:
    run = open_run(runs / "mlp")
    grey = evaluate(run, nll_samples=3)
    before = {path: path.read_bytes() for path in (runs / "mlp").rglob("*") if path.is_file()}
    bits = evaluate(run.binarized(Binarize.dynamic), nll_samples=3)
    after = {path: path.read_bytes() for path in (runs / "mlp").rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert {path.name for path in after.keys() - before.keys()} == {"evaluation_dynamic.json", "nll_3_dynamic.npz"}
    assert json.loads((runs / "mlp" / "evaluation_dynamic.json").read_text()) == bits
    assert bits["binarize"] == "dynamic" and bits["grey_levels_as_probabilities"] is False
    assert evaluate(run)["test/nll"] == grey["test/nll"] != bits["test/nll"]
    assert evaluate(run.binarized(Binarize.dynamic))["test/nll"] == bits["test/nll"]
    assert results_file(run.binarized(Binarize.none)) == results_file(run) == runs / "mlp" / "evaluation.json"
    last = open_run(runs / "mlp", "last").binarized(Binarize.threshold)
    assert results_file(last).name == "evaluation_threshold_last.json"


@torch.no_grad()
def test_the_nll_of_grey_levels_bounds_that_of_binarised_images() -> None:
    """The expectation over the binarised images by enumeration, p(x) being that of a prior of 40 codes."""
    vae = small_vae()
    z = torch.randn(40, 1, vae.latent_dim, generator=torch.Generator().manual_seed(0))
    grey = torch.zeros(1, *SHAPE)
    grey.view(-1)[:8] = torch.rand(8, generator=torch.Generator().manual_seed(1))  # the other pixels are black
    logits = 5 * vae.decode_parameters(z)
    bits = torch.zeros(2**8, *SHAPE)
    bits.flatten(1)[:, :8] = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 8)
    probability = (bits * grey + (1 - bits) * (1 - grey)).flatten(1).prod(dim=1)

    def log_p(x: torch.Tensor) -> torch.Tensor:
        return vae.likelihood.log_prob(logits.expand(-1, len(x), -1, -1, -1), x).logsumexp(dim=0) - math.log(len(z))

    assert probability.sum().item() == pytest.approx(1)
    assert log_p(grey).item() < (probability * log_p(bits)).sum().item() - 0.01


@pytest.mark.parametrize(
    ("layer", "present"), [(InverseAutoregressive, set()), (Coupling, {"mutual_information", "marginal_kl"})]
)
def test_flow_posteriors_have_the_parts_of_the_kl_that_their_densities_give(
    layer: type[PosteriorLayer], present: set[str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # so that the table is in one piece
    run = open_run(runs / "mlp")
    run.vae.to_posterior = layer(32, 5)
    values = evaluate(run)
    assert {part for part in PARTS_OF_THE_KL if f"test/{part}" in values} == present
    file = runs / "mlp" / "evaluation.json"
    assert ("marginal KL" in card(file, values)) == ("marginal_kl" in present)
    assert "total correlation" not in card(file, values)
    header, row, *_ = (re.split(r"  +", line) for line in table([(file, values), (file, values)]).splitlines())
    assert (row[header.index("I(x;z)")] == DASH) == (not present)


def test_the_kl_of_a_ladder_is_shown_by_layer(runs: Path) -> None:
    run = open_run(runs / "mlp")
    torch.manual_seed(0)
    prior = randomised(Hierarchical(5, layers=2, hidden_dim=8)).float()
    run.vae.prior, run.vae.to_posterior = prior, Ladder(32, 5, prior, hidden_dim=8)
    values = evaluate(run)
    layers = [float(values[f"test/kl_layer_{i}"]) for i in (1, 2)]
    assert min(layers) > 0.01 and "test/kl_layer_3" not in values
    error = float(values["test/kl_standard_error"])  # of other samples of z than these
    assert sum(layers) == pytest.approx(float(values["test/kl"]), abs=3 * error)
    assert re.search(rf"^ +KL of layer 2 +{number(layers[1], 3)} ±", card(runs / "evaluation.json", values), re.M)


def test_the_script_prints_the_nll(tool: Callable[..., Done], runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # so that all columns of the table are in one block
    done = tool("evaluate", f"run={runs}/mlp", "nll.samples=20")
    assert done.returncode == 0 and done.stderr == ""
    values = json.loads((runs / "mlp" / "evaluation.json").read_text())
    line, half = re.findall(r"^NLL of grey levels .*|^  of half the samples .*", done.stdout, re.M)
    assert f"{values['test/nll']:.3f} ± {values['test/nll_standard_error']:.3f} nats" in line
    assert f" {values['test/nll_half']:.3f} nats" in half
    assert f" {values['test/nll_half'] - values['test/nll']:.3f} nats more" in done.stdout
    assert re.search(r"^NLL: \d+ of 20 samples per image are effective .*; Monte Carlo error 0.", done.stdout, re.M)
    table = tool("evaluate", f"run={runs}", "nll.samples=1").stdout.splitlines()
    assert table[0].split()[-2:] == ["NLL", "effective"] and table[1].endswith("1 of 1")
    assert table[-3] == "NLL: effective samples per image, of all that were drawn (median image)"
    assert "the NLL is overestimated" in table[-2]


def test_a_negative_number_of_samples_is_an_error(tool: Callable[..., Done], runs: Path) -> None:
    done = tool("evaluate", f"run={runs}/mlp", "nll.samples=-1")
    assert done.returncode == 1 and done.stderr == "error: nll.samples=-1: it must be 0 or more.\n"
    assert "nll.samples" in tool("evaluate", "--help").stdout


BRACKETS = [
    ((9.1, 53.2), (-29.1, 14.8), "≥ 9.10", "≤ 14.80"),  # KL 24.1
    ((8.9, 23.9), (0.13, 15.2), "8.90 to 23.90", "0.13 to 15.20"),
    ((2.38, 24.1), (0.0, 0.04), "≥ 2.38", "≤ 0.04"),
    ((2.38, 24.1), (-0.02, -0.01), "≥ 2.38", "≤ 0.00"),  # of an aggregate that is the prior
]


@pytest.mark.parametrize(("information", "marginal", "first", "second"), BRACKETS)
def test_parts_of_the_kl_are_shown_by_the_ends_that_say_something(
    runs: Path,
    information: tuple[float, float],
    marginal: tuple[float, float],
    first: str,
    second: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # so that the table is in one piece
    values = evaluate(open_run(runs / "mlp")) | {"test/kl": 24.1}
    for name, pair in (("mutual_information", information), ("marginal_kl", marginal)):
        values |= {f"test/{end}": value for end, value in zip(PARTS_OF_THE_KL[name], pair, strict=True)}
    file = runs / "mlp" / "evaluation.json"
    header, row, *_ = (re.split(r"  +", line) for line in table([(file, values), (file, values)]).splitlines())
    assert (row[header.index("I(x;z)")], row[header.index("marginal KL")]) == (first, second)
    assert f"{first.replace(' to ', '0 to ')}0 ± " in card(file, values)
    assert f"{second.replace(' to ', '0 to ')}0 ± " in card(file, values)


def test_a_part_of_the_kl_that_is_no_number_is_a_dash(runs: Path) -> None:
    values = evaluate(open_run(runs / "mlp"))
    values |= {f"test/{end}": math.nan for end in PARTS_OF_THE_KL["marginal_kl"]}
    assert re.search(f"marginal KL +≤ {DASH} ", card(runs / "mlp" / "evaluation.json", values))


def test_the_script_scores_other_pixels(tool: Callable[..., Done], runs: Path) -> None:
    done = tool("evaluate", f"run={runs}/mlp", "data.binarize=dynamic", "nll.samples=2")
    assert done.returncode == 0 and done.stderr == "" and "evaluation_dynamic.json" in done.stdout
    assert re.search(r"^NLL  +[\d.]+ ± ", done.stdout, re.M) and "read as probabilities" not in done.stdout
    assert not (runs / "mlp" / "evaluation.json").exists()
    assert "read as probabilities: -ELBO and NLL bound" in tool("evaluate", f"run={runs}/mlp").stdout


def test_binarised_pixels_are_refused_for_a_likelihood_of_grey_levels(
    tool: Callable[..., Done], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bernoulli, "grey_only", True)
    done = tool("evaluate", f"run={runs}/mlp", "data.binarize=threshold")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(
        "error: data.binarize=threshold: likelihood=Bernoulli is a distribution of grey levels"
    )
    assert tool("evaluate", f"run={runs}/mlp", "data.binarize=none").returncode == 0
    monkeypatch.setattr(Bernoulli, "binary_only", True)
    assert tool("evaluate", f"run={runs}/conv", "data.binarize=none").stderr.startswith("error: data.binarize=none: ")
    wrong = tool("evaluate", f"run={runs}/mlp", "data.binarize=static").stderr
    assert "data.binarize=static: " in wrong and "expected one of [none, dynamic, threshold]" in wrong
