import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from mnist_vae.analysis.density_estimation import log_likelihood
from mnist_vae.analysis.importance_sampling import importance_weights
from mnist_vae.config.build import build_vae
from mnist_vae.models.posteriors import DiagonalGaussian
from mnist_vae.models.priors import StandardNormal
from mnist_vae.objectives import ELBO
from mnist_vae.training.schedules import iwae
from mnist_vae.training.train import train
from mnist_vae.utils.errors import UserError
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.seeding import Noise
from tests.conftest import ROOT, TINY, Done, composed

sys.path.insert(0, str(ROOT / "scripts"))

from benchmarks import commands, competitors, curves, likelihood, quality, reproduction, samplers, training
from benchmarks.picture import picture
from benchmarks.progress import progress
from benchmarks.results import Comparison, Measured, Results


@pytest.mark.parametrize(
    ("values", "target", "wanted", "met"),
    [
        ([1.0, 2.0, 9.0], 2.0, "at most", True),
        ([1.0, 2.1, 9.0], 2.0, "at most", False),
        ([3.0, 2.0, 1.0], 2.0, "at least", True),
        ([3.0, 1.9, 1.0], 2.0, "at least", False),
        ([3.0], None, "at least", None),
    ],
)
def test_a_target_is_held_against_the_median(values: list[float], target: Any, wanted: Any, met: bool | None) -> None:
    one = Comparison("a / b", values, target, wanted)
    assert one.met is met
    assert one.row()[-1] == {True: "met", False: "NOT met", None: ""}[met]


def test_a_quotient_is_taken_round_by_round() -> None:
    slow, fast = Measured("slow", "s", [2.0, 9.0]), Measured("fast", "s", [1.0, 3.0])
    assert Comparison.quotient("slow / fast", slow, fast).values == [2.0, 3.0]


def test_results_can_be_read_and_drawn() -> None:
    timed = [Measured("mlp: run, an epoch", "s", [2.0, 3.0]), Measured("bare", "s", [1.0, 1.5])]
    results = Results("train", timed, [Comparison.quotient("run / bare", *timed, 1.15)], ["a note"])
    assert "run / bare" in results.table() and "at most 1.15" in results.table() and "a note" in results.table()
    record = json.loads(json.dumps(results.record()))
    assert record["comparisons"][0]["median"] == 2.0 and record["comparisons"][0]["met"] is False
    growth = [Measured("width", "µs/image", [x, 2.0 * x, 4.0 * x], x) for x in (1, 2, 4)]
    drawn = picture([results, Results("scaling", growth)], "title")
    assert len(drawn.subfigs) == 2
    (panel,) = drawn.subfigs[-1].axes
    (bars,) = (container for container in panel.containers if container.has_yerr)
    medians, _, (ranges,) = bars.lines
    assert medians.get_linestyle() == "None" and medians.get_ydata().tolist() == [2, 4, 8]
    assert [segment[:, 1].tolist() for segment in ranges.get_segments()] == [[1, 4], [2, 8], [4, 16]]
    assert max(panel.get_ylim()) > 16


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("suite=train,warp", "suite: there is no 'warp'; it is any of quality,train,"),
        ("suite=", "suite: there is no ''; it is any of quality,train,"),
        ("rounds=-1", "rounds=-1: it must be 0 or more"),
        ("rounds=few", "rounds=few: "),
        ("folder=/dev/null/here", "can't be written"),
    ],
)
def test_wrong_options_are_refused(word: str, message: str, tool: Any) -> None:
    done: Done = tool("benchmark", word)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and message in done.stderr
    assert "not expected" not in done.stderr


@pytest.fixture(scope="module")
def few() -> torch.Tensor:
    """Images that can be learned: dark, with a bright square in one of four places."""
    images = torch.zeros(1280, 1, 28, 28, dtype=torch.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number % 4, 2)
        image[0, 14 * row : 14 * row + 14, 14 * column : 14 * column + 14] = 255
    return images


def rivals(images: torch.Tensor) -> list[competitors.Competitor]:
    given = images, 128, 1e-3
    found = [competitors.NotebookLoop(*given), competitors.BareLoop(*given)]
    return found + ([competitors.Pythae(*given, images[:64])] if competitors.is_installed("pythae") else [])


def test_every_competitor_trains_to_the_same_loss(few: torch.Tensor) -> None:
    """One that did less work than the others would be quick for nothing."""
    torch.manual_seed(0)
    curves = {rival.name: [rival.epoch() for _ in range(6)] for rival in rivals(few)}
    reference = curves["bare loop"]
    assert reference[0] > 2 * reference[-1]
    for losses in curves.values():
        assert losses[-1] == pytest.approx(reference[-1], rel=0.1)


@pytest.mark.parametrize("others", [[], ["notebook loop"]])
def test_who_takes_turns_with_the_run(few: torch.Tensor, others: list[str]) -> None:
    turns = training.Turns("mlp", others, 128, 1e-3)
    turns.on_fit_start(SimpleNamespace(datamodule=SimpleNamespace(train_split=[few])), SimpleNamespace())  # type: ignore[arg-type]
    assert [rival.name for rival in turns.competitors] == others and turns.bare.name == "bare loop"


def test_the_convolutions_are_the_runs() -> None:
    """With the same weights and draws, the same loss."""
    cfg = composed("model=conv")
    vae = build_vae(cfg, (1, 28, 28))
    rival = competitors.ConvNotebook(cfg.latent_dim, list(cfg.model.channels), cfg.model.hidden_dim)
    rival.encoder, rival.decoder, rival.head = vae.encoder, vae.decoder, vae.to_posterior
    x = torch.rand(7, 1, 28, 28)
    torch.manual_seed(1)
    expected = ELBO()(vae, x, None, 0.0, Noise(7)).loss.sum()
    torch.manual_seed(1)
    torch.testing.assert_close(rival.loss(x.flatten(1)), expected)
    assert rival.encoder[3].weight.is_contiguous(memory_format=torch.channels_last)


def test_the_convolutions_train(few: torch.Tensor) -> None:
    torch.manual_seed(0)
    conv = competitors.BareConvLoop(few, 128, 3e-3, [8, 16], 64)
    losses = [conv.epoch() for _ in range(8)]
    assert losses[-1] < losses[0] / 2


def test_operations_are_counted() -> None:
    """784-400-40 and 20-400-784: each product once forwards, twice backwards, but none towards the images."""
    products = [784 * 400, 400 * 20, 400 * 20, 20 * 400, 400 * 784]
    expected = 2 * 128 * (3 * sum(products) - products[0])
    assert competitors.step_flops(competitors.Notebook(), 128) == expected


@pytest.mark.parametrize(
    ("elbo", "seconds"),
    [(-140.0, 1.0), (-120.0, 1.0), (-110.0, 2.0), (-105.0, 2.5), (-100.0, 3.0), (-99.0, float("inf"))],
)
def test_the_time_to_an_elbo_lies_between_two_points(elbo: float, seconds: float) -> None:
    points = [(1.0, -120.0), (3.0, -100.0), (4.0, -101.0)]
    assert curves.seconds_to(curves.Curve(0.0, points), elbo) == seconds


def test_the_clock_stands_still_while_the_elbo_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock = curves.Clock()

    def slowly() -> float:
        now[0] += 50
        return -100.0

    for pause in (2.0, 3.0):
        now[0] += pause
        clock.measure(slowly)
    assert clock.points == [(2.0, -100.0), (5.0, -100.0)]


@pytest.mark.usefixtures("undrawn")
def test_the_curve_of_a_run_ends_with_its_test(tmp_path: Path) -> None:
    callback = "+callbacks.curve={_target_: benchmarks.curves.CurveCallback}"
    plain = train(composed(*TINY, "max_epochs=2"), tmp_path / "plain")
    measured = train(composed(*TINY, "max_epochs=2", callback), tmp_path / "measured")
    curve = curves.read_curve(tmp_path / "measured")
    assert curve.points[-1][1] == measured["test/elbo"] == plain["test/elbo"]  # measuring draws nothing of the run's
    seconds = [point[0] for point in curve.points]
    assert seconds == sorted(seconds) and len(seconds) >= 2 and curve.points[0][1] < curve.points[-1][1] < 0


def test_a_record_is_compared_round_by_round() -> None:
    found = {name: [] for names in quality.RECORDS for name in names[:2]}
    for slow, fast, level, _ in quality.RECORDS:
        found[slow] = [curves.Curve(0.0, [(60.0, level - 1)]), curves.Curve(0.0, [(80.0, level)])]
        found[fast] = [curves.Curve(0.0, [(6.0, level)]), curves.Curve(0.0, [(5.0, level)])]
    assert [one.values for one in quality.records(found)] == [[10.0, 16.0]] * 2


def test_the_progress_is_drawn() -> None:
    line = [(1.0, -160.0), (2.0, -120.0), (9.0, -105.0)]
    results = Results("quality", curves={"notebook loop": [line, line], "experiment=speedrun": [line[:1]]})
    (axis,) = progress(results, "title").axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["notebook loop", "experiment=speedrun"]
    assert json.loads(json.dumps(results.record()))["curves"]["notebook loop"][0][2] == [9.0, -105.0]


def test_all_forms_of_the_likelihood_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "SAMPLES", 500)
    monkeypatch.setattr(likelihood, "PART", 100)
    monkeypatch.setattr(likelihood, "IMAGES", 4)
    monkeypatch.setattr(likelihood, "STEPS", 20)
    results = likelihood.suite(2, ["data=digits"])
    names = [measured.name for measured in results.measured]
    assert names[:2] == ["ours", "straightforward form"]
    values = [float(part.rpartition(" ")[2]) for part in results.notes[0].partition("rounds: ")[2].split(", ")]
    assert len(values) == len(names) and max(values) - min(values) < 1.5  # nats, of some 200


def test_the_straightforward_form_is_the_formula(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mnist_vae.runs.load import open_run

    monkeypatch.setattr(likelihood, "SAMPLES", 2000)
    run = open_run(trained / "mlp")
    images, labels = run.data().fixed("test")
    x = to_unit(images[:20])
    weights = importance_weights(run.vae, x, labels, 2000, seed=0)
    error = 2**0.5 * weights.monte_carlo_error.norm().item() / len(x)
    with torch.no_grad():
        assert abs(likelihood.straightforward(run.vae, x) + weights.log_likelihood.mean().item()) < 4 * error


def test_both_frameworks_train_the_same_models() -> None:
    for experiment, _, options in reproduction.MODELS:
        cfg = composed(f"experiment={experiment}")
        assert cfg.objective.k == options.get("number_samples", 1)
        assert cfg.objective.get("m", 1) == options.get("number_gradient_estimates", 1)
        assert cfg.objective.get("elbo_weight") == options.get("beta")
        assert cfg.prior.get("components") == options.get("number_components")
    rates = [iwae(epoch) for epoch in range(1100)]
    assert reproduction.STAGES[:7] == [epoch for epoch in range(1, 1100) if rates[epoch] != rates[epoch - 1]]


@pytest.mark.parametrize("module", [reproduction, samplers])
def test_it_asks_for_pythae(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_installed", lambda package: False)
    with pytest.raises(UserError, match="pip install pythae"):
        module.suite(1, [])


def test_another_frameworks_density_is_scored_as_ours_is() -> None:
    gmm = GaussianMixture(1).fit(np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]))  # mean 0, variance 1
    posterior = DiagonalGaussian(torch.randn(50, 2), torch.zeros(50, 2))
    theirs = samplers.Theirs(2, samplers.mixture_density(SimpleNamespace(gmm=gmm)))
    assert log_likelihood(theirs, posterior) == pytest.approx(log_likelihood(StandardNormal(2), posterior), rel=1e-4)


def test_weights_go_to_pythae_and_back() -> None:
    pytest.importorskip("pythae")
    cfg = composed("experiment=iwae_vamp", "prior.components=7")
    ours, back = (build_vae(cfg, (1, 28, 28)) for _ in range(2))
    sizes = (200, 200), 50, torch.nn.Tanh
    twin = competitors.pythae_model("VAMP", *sizes, number_components=7, linear_scheduling_steps=0)
    competitors.copy_to_pythae(ours, twin)
    x, z = torch.rand(3, 1, 28, 28), torch.randn(3, 50)
    encoded, posterior = twin.encoder(x), ours.encode(x)
    torch.testing.assert_close(encoded.embedding, posterior.mean)
    torch.testing.assert_close(encoded.log_covariance, posterior.log_var)
    torch.testing.assert_close(twin.decoder(z).reconstruction, ours.decode(z).flatten(1))
    torch.testing.assert_close(twin.pseudo_inputs(twin.idle_input), ours.prior.pseudo_inputs.flatten(1))
    competitors.copy_from_pythae(back, twin)
    torch.testing.assert_close(back.state_dict(), ours.state_dict())


def test_a_command_that_fails_is_not_timed() -> None:
    with pytest.raises(commands.CommandFailed, match="exactly so"):
        commands.python("-c", "raise SystemExit('exactly so')")


def test_the_memory_of_a_command_is_its_own() -> None:
    small = commands.python("-c", "pass").peak_bytes
    large = commands.python("-c", "b = bytearray(200_000_000); b[::4096] = b'x' * len(b[::4096])").peak_bytes
    assert 190e6 < large - small < 230e6


@pytest.mark.slow
def test_the_plain_script_trains_and_draws(real_mnist: str, tmp_path: Path) -> None:
    done = commands.python(commands.PLAIN, f"root={real_mnist}", "epochs=1", f"folder={tmp_path}")
    assert 122 < float(done.output.split()[-1]) < 135  # test loss; the curve's second epoch trains at 121
    assert {path.name for path in tmp_path.iterdir()} == {"epoch_1.png", "results.png"}


@pytest.mark.slow
def test_the_time_to_the_first_step_is_measured(real_mnist: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "WARM_UP", 0)
    results = commands.startup(1, [f"data.root={real_mnist}"])
    seconds = {measured.name: measured.median for measured in results.measured}
    assert min(seconds["--cfg job"], seconds["first step"], seconds[commands.IMPORTS]) > 0


def test_the_config_of_the_benchmark_is_the_users() -> None:
    assert training.composed() == composed("accelerator=cpu")
