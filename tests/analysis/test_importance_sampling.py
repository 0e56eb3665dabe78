"""Importance-sampled estimates against closed forms, a plain loop and pythae."""

import itertools
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Normal
from torch.utils._python_dispatch import TorchDispatchMode

from mnist_vae.analysis import importance_sampling
from mnist_vae.analysis.importance_sampling import bernoulli_log_prob_, importance_weights, iter_log_sums
from mnist_vae.models.likelihoods import Bernoulli
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.priors import StandardNormal
from mnist_vae.models.vae import VAE
from mnist_vae.runs.load import open_run
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.seeding import derived_seed
from tests.models.helpers import SHAPE, linear_gaussian_vae, small_vae


def labels(x: Tensor) -> Tensor:
    return torch.arange(len(x)) % 3


def log_likelihood(vae: VAE, x: Tensor, k: int, **options: int) -> Tensor:
    return importance_weights(vae, x, labels(x), k, seed=3, **options).log_likelihood


def loose_posterior() -> tuple[VAE, Tensor, Tensor]:
    """Linear-Gaussian VAE with a posterior wide enough for weights of finite variance, images, and log p(x)."""
    vae, x, exact = linear_gaussian_vae(tight=False)
    with torch.no_grad():
        vae.to_posterior.bias[2:] += 1
    return vae, x, exact


def test_the_estimate_equals_the_exact_log_likelihood_of_a_linear_gaussian_vae() -> None:
    vae, x, exact = loose_posterior()
    weights = importance_weights(vae, x, labels(x), k=20_000, seed=3)
    error = weights.monte_carlo_error
    assert ((weights.log_likelihood - exact).abs() < 4 * error).all() and (error < 0.05).all()


def test_with_the_exact_posterior_the_estimate_is_exact() -> None:
    vae, x, exact = linear_gaussian_vae(tight=True)
    for k in (1, 7):
        weights = importance_weights(vae, x, labels(x), k, seed=3)
        torch.testing.assert_close(weights.log_likelihood, exact, atol=1e-12, rtol=0)
        torch.testing.assert_close(weights.effective_samples, torch.full_like(exact, k))
    assert (weights.monte_carlo_error < 1e-6).all()


def test_the_mean_estimate_increases_with_k_and_is_a_lower_bound() -> None:
    # Burda et al. (2016), theorem 1, in the mean over independent estimates of the same images.
    vae, x, exact = loose_posterior()
    many = x.repeat(200, 1, 1, 1)
    bounds = []
    for k in (1, 8, 16):
        estimates = log_likelihood(vae, many, k).reshape(200, len(x))
        bounds.append((estimates.mean(), estimates.mean(dim=1).std() / 200**0.5))
    bounds.append((exact.mean(), torch.zeros(())))
    for (lower, error), (higher, other) in itertools.pairwise(bounds):
        assert lower + 2 * (error + other) < higher


def test_half_the_weights_estimate_the_bias_that_remains() -> None:
    """On a linear-Gaussian VAE, where log p(x) is known; each half is what a call for that many samples gives."""
    vae, x, exact = loose_posterior()
    k = 64
    weights = importance_weights(vae, x.repeat(200, 1, 1, 1), torch.zeros(200 * len(x)), k, seed=3)
    whole, halves = weights.log_likelihood, weights.log_likelihood_of_halves
    assert (halves <= whole + 1e-12).all()
    bias = exact.mean() - whole.mean()
    assert (whole - halves).mean().item() == pytest.approx(bias.item(), rel=0.25) and bias > 0.001
    first = importance_weights(vae, x, labels(x), k // 2, seed=3).log_sum
    torch.testing.assert_close(importance_weights(vae, x, labels(x), k, seed=3).log_half_sums[:, 0], first)


@pytest.mark.parametrize("k", [2, 7, 4500])
def test_halves_of_the_weights(k: int) -> None:
    """Of an odd number of samples, and of one where the second draw of MAX_SAMPLES belongs to both halves."""
    vae, x = small_vae(), torch.rand(2, *SHAPE).round()
    weights = importance_weights(vae, x, labels(x), k, seed=3)
    mean, log_var = (part.detach() for part in vae.encode(x))
    sizes = [min(importance_sampling.MAX_SAMPLES, k - done) for done in range(0, k, importance_sampling.MAX_SAMPLES)]
    for i in range(len(x)):
        generator = torch.Generator().manual_seed(derived_seed(3, i))
        q = Normal(mean[i], (0.5 * log_var[i]).exp())
        z = q.mean + q.stddev * torch.cat([torch.randn(size, 3, generator=generator) for size in sizes])
        log_p = vae.likelihood.log_prob(vae.decode_parameters(z[:, None]).detach(), x[i : i + 1])[:, 0]
        log_w = (log_p + Normal(0.0, 1.0).log_prob(z).sum(dim=1) - q.log_prob(z).sum(dim=1)).double()
        halves = [part.logsumexp(dim=0) for part in (log_w[: k // 2], log_w[k // 2 :])]
        torch.testing.assert_close(weights.log_half_sums[i], torch.stack(halves), atol=1e-4, rtol=0)
        estimates = halves[0] - math.log(k // 2), halves[1] - math.log(k - k // 2)
        assert weights.log_likelihood_of_halves[i].item() == pytest.approx(sum(estimates).item() / 2, abs=1e-4)


def test_a_single_weight_has_no_halves() -> None:
    vae, x, _ = loose_posterior()
    weights = importance_weights(vae, x, labels(x), k=1, seed=3)
    assert weights.log_likelihood.isfinite().all() and weights.log_likelihood_of_halves.isnan().all()


def test_the_monte_carlo_error_is_the_standard_deviation_over_repetitions() -> None:
    vae, x, _ = loose_posterior()
    weights = importance_weights(vae, x[:1].repeat(300, 1, 1, 1), torch.zeros(300), k=1000, seed=3)
    assert weights.monte_carlo_error.median().item() == pytest.approx(weights.log_likelihood.std().item(), rel=0.15)
    assert (weights.effective_samples > 1).all() and (weights.effective_samples < 1000).all()
    assert importance_weights(vae, x, labels(x), k=1, seed=3).monte_carlo_error.isnan().all()


def test_the_chunk_size_affects_rounding_only(monkeypatch: pytest.MonkeyPatch) -> None:
    vae, x = small_vae(), torch.rand(5, *SHAPE)
    whole = log_likelihood(vae, x, k=2500)
    for chunk in (1, 7, 100, 999, 2500):
        torch.testing.assert_close(log_likelihood(vae, x, k=2500, chunk=chunk), whole, atol=1e-5, rtol=0)
    assert torch.equal(log_likelihood(vae, x, k=2500), whole)
    assert not torch.allclose(importance_weights(vae, x, labels(x), 2500, seed=4).log_likelihood, whole, atol=1e-5)
    monkeypatch.setattr(importance_sampling, "BATCH_SIZE", 2)
    torch.testing.assert_close(log_likelihood(vae, x, k=2500), whole, atol=1e-5, rtol=0)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    vae, x, before = small_vae(), torch.rand(5, *SHAPE), torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(log_likelihood(vae, x, k=700))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


@pytest.mark.parametrize("start", [1, 2, 3, 4])
def test_a_later_start_yields_the_remaining_values_exactly(monkeypatch: pytest.MonkeyPatch, start: int) -> None:
    monkeypatch.setattr(importance_sampling, "BATCH_SIZE", 2)
    vae, x = small_vae(), torch.rand(5, *SHAPE)
    whole = list(iter_log_sums(vae, x, labels(x), k=50, seed=3))
    rest = list(iter_log_sums(vae, x, labels(x), k=50, seed=3, start=start))
    assert torch.equal(torch.stack(rest), torch.stack(whole[start:]))


class LargestTensor(TorchDispatchMode):
    """Dispatch mode that records the number of elements of the largest result of an operation."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        found = result if isinstance(result, tuple | list) else [result]
        self.elements = max([self.elements, *(value.numel() for value in found if isinstance(value, Tensor))])
        return result


def test_memory_does_not_grow_with_the_samples() -> None:
    vae, x = small_vae(), torch.rand(1, *SHAPE)
    elements = []
    for k in (2000, 20_000):
        with LargestTensor() as largest:
            # In this thread, since a dispatch mode does not apply to others.
            importance_sampling._log_sums(vae, vae.prior, vae.encode(x), x, labels(x), k, 100, 3)
        elements.append(largest.elements)
    assert elements[0] == elements[1] <= importance_sampling.MAX_SAMPLES * 3


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 7), (1, 1, 1)])
@pytest.mark.parametrize("scale", [0.01, 1, 10, 200])
def test_the_fast_bernoulli_log_prob_equals_the_general_one(shape: tuple[int, int, int], scale: float) -> None:
    torch.manual_seed(0)
    for x in (torch.rand(1, *shape), torch.rand(1, *shape).round()):
        # Logits mostly of the right sign, as those of a trained decoder.
        logits = scale * (torch.randn(40, 1, *shape).abs() * (x - 0.5).sign() + 0.1 * torch.randn(40, 1, *shape))
        exact = Bernoulli().log_prob(logits.double(), x.double())
        fast = bernoulli_log_prob_(logits, x)
        assert fast.shape == (40, 1)
        torch.testing.assert_close(fast.double(), exact, atol=1e-4, rtol=1e-6)


def test_a_fast_and_a_general_likelihood_give_the_same_estimate() -> None:
    class General(Bernoulli):
        pass

    vae, x = small_vae(), torch.rand(4, *SHAPE)
    fast = log_likelihood(vae, x, k=300)
    vae.likelihood = General()
    torch.testing.assert_close(log_likelihood(vae, x, k=300), fast, atol=1e-4, rtol=0)


def conditional() -> VAE:
    torch.manual_seed(0)
    network = MLP(SHAPE, 3 + 3, 1, [8])
    vae = VAE(network, Bernoulli(), StandardNormal(3), classes=3).eval()
    torch.nn.init.normal_(vae.label_image.weight)
    return vae


@pytest.mark.parametrize("make", [small_vae, conditional])
def test_the_estimate_equals_a_loop_over_images_and_samples(make) -> None:
    vae, x, k = make(), torch.rand(3, *SHAPE).round(), 20
    expected = []
    for i in range(len(x)):
        draws = torch.randn(k, 3, generator=torch.Generator().manual_seed(derived_seed(3, i)))
        label = labels(x)[i : i + 1]
        mean, log_var = vae.encode(x[i : i + 1], label)
        q, p = Normal(mean[0], (0.5 * log_var[0]).exp()), Normal(torch.zeros(3), torch.ones(3))
        ratios = []
        for draw in draws:
            z = mean[0] + q.stddev * draw
            pixels = TorchBernoulli(logits=vae.decode_parameters(z[None], label)[0]).log_prob(x[i]).sum()
            ratios.append((pixels + p.log_prob(z).sum() - q.log_prob(z).sum()).detach().double().exp())
        expected.append(torch.stack(ratios).mean().log())
    torch.testing.assert_close(log_likelihood(vae, x, k), torch.stack(expected), atol=1e-4, rtol=0)


def pythae_twin(vae: VAE):
    """pythae's VAE, whose hidden layer has 512 units, with the weights of an MLP with one hidden layer, zero-padded."""
    models = pytest.importorskip("pythae.models")
    config = models.VAEConfig(input_dim=vae.image_shape, latent_dim=vae.latent_dim, reconstruction_loss="bce")
    twin = models.VAE(config).eval()
    to_mean, to_log_var = vae.to_posterior.weight.chunk(2)
    mean_bias, log_var_bias = vae.to_posterior.bias.chunk(2)
    hidden_in, hidden_out, output = vae.encoder[1], vae.decoder[0], vae.decoder[2]
    pairs = [
        (twin.encoder.layers[0][0], hidden_in.weight, hidden_in.bias),
        (twin.encoder.embedding, to_mean, mean_bias),
        (twin.encoder.log_var, to_log_var, log_var_bias),
        (twin.decoder.layers[0][0], hidden_out.weight, hidden_out.bias),
        (twin.decoder.layers[1][0], output.weight, output.bias),
    ]
    with torch.no_grad():
        for layer, weight, bias in pairs:
            layer.weight.zero_()[: weight.shape[0], : weight.shape[1]] = weight
            layer.bias.zero_()[: len(bias)] = bias
    return twin


@torch.no_grad()
def test_the_estimate_agrees_with_pythae(trained: Path) -> None:
    """Compare estimates of the same model and images; skipped without pythae (pip install --no-deps pythae).

    With pythae 0.1.2, 100 test images and 1000 samples: 178.085 by pythae, 178.161 by this project; the Monte Carlo
    error of the difference is 0.035.
    """
    run = open_run(trained / "mlp")
    images, given = (values[:100] for values in run.data().fixed("test"))
    x = to_unit(images)
    twin = pythae_twin(run.vae)
    torch.testing.assert_close(twin.encoder(x).embedding, run.vae.encode(x).mean)
    torch.manual_seed(0)
    theirs = -twin.get_nll(x, n_samples=1000, batch_size=500)
    weights = importance_weights(run.vae, x, given, k=1000, seed=3)
    ours = -weights.log_likelihood.mean().item()
    error = 2**0.5 * weights.monte_carlo_error.norm().item() / 100  # of the difference of two independent estimates
    print(f"\nnll by pythae {theirs:.3f}, ours {ours:.3f}, Monte Carlo error of the difference {error:.3f}")
    assert abs(ours - theirs) < 4 * error < 0.5
