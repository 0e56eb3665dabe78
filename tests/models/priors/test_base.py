import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from mnist_vae.models.posteriors import DiagonalGaussian
from mnist_vae.models.priors import Flow, Mixture, Prior, StandardNormal, VampPrior
from tests.models.priors.helpers import IMAGE_SHAPE, LEARNED, MIXTURES, Build


def density_on_a_grid(prior: Prior) -> tuple[Tensor, Tensor]:
    """Points of one axis (801,), and p(z) on the grid of them (801, 801), with z_0 in the rows."""
    axis = torch.linspace(-16, 16, 801, dtype=torch.float64)
    with torch.no_grad():
        return axis, prior.log_prob(torch.cartesian_prod(axis, axis)).exp().reshape(801, 801)


def distribution_function(prior: Prior, dimension: int) -> tuple[Tensor, Tensor]:
    """Points of one axis, and the CDF of one dimension at each, by the trapezoid rule."""
    axis, density = density_on_a_grid(prior)
    marginal = torch.trapezoid(density, axis, dim=1 - dimension)
    return axis[1:], torch.cumulative_trapezoid(marginal, axis)


@pytest.mark.parametrize("build", MIXTURES)
def test_the_density_integrates_to_one_on_a_line(build: Build) -> None:
    axis = torch.linspace(-30, 30, 20_001, dtype=torch.float64)
    density = build(1).log_prob(axis[:, None]).exp()
    assert torch.trapezoid(density, axis).item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("build", LEARNED)
def test_the_density_integrates_to_one_on_a_plane(build: Build) -> None:
    axis, density = density_on_a_grid(build(2))
    assert torch.trapezoid(torch.trapezoid(density, axis), axis).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("build", LEARNED)
@pytest.mark.parametrize("dimension", [0, 1])
def test_draws_follow_the_density(build: Build, dimension: int) -> None:
    prior, count = build(2), 50_000
    axis, expected = distribution_function(prior, dimension)
    drawn = prior.sample(count, torch.Generator().manual_seed(0))[:, dimension].sort().values
    below = torch.searchsorted(drawn, axis).double() / count
    # Kolmogorov-Smirnov: a distance above 2 / sqrt(count) has a probability of 7e-4.
    assert (below - expected).abs().max() < 2 / count**0.5


@pytest.mark.parametrize("build", LEARNED)
def test_draws_have_the_covariance_of_the_density(build: Build) -> None:
    prior, count = build(2), 50_000
    axis, density = density_on_a_grid(prior)
    expected = torch.trapezoid(torch.trapezoid(density * axis * axis[:, None], axis), axis)
    products = prior.sample(count, torch.Generator().manual_seed(0)).prod(dim=1)
    assert (products.mean() - expected).abs() < 4 * products.std() / count**0.5


@pytest.mark.parametrize("build", LEARNED)
def test_estimated_quantiles_invert_the_distribution_function(build: Build) -> None:
    prior, probability = build(2), torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64)
    quantile = prior.quantile(probability)
    assert quantile.shape == (3, 2)
    for dimension in range(2):
        axis, below = distribution_function(prior, dimension)
        at = torch.searchsorted(axis, quantile[:, dimension].contiguous())
        assert ((below[at] - probability).abs() < 0.03).all()  # one step of the grid is up to 0.02


@pytest.mark.parametrize("build", MIXTURES)
def test_the_mean_of_kl_estimates_is_the_kl(build: Build) -> None:
    prior, count = build(1), 100_000
    q = DiagonalGaussian(torch.tensor([[0.7]], dtype=torch.float64), torch.tensor([[-1.0]], dtype=torch.float64))
    axis = torch.linspace(-8, 8, 8001, dtype=torch.float64)
    log_q = Normal(0.7, math.exp(-0.5)).log_prob(axis)
    expected = torch.trapezoid(log_q.exp() * (log_q - prior.log_prob(axis[:, None])), axis)
    noise = torch.randn(count, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    estimates = prior.kl(q, q.rsample(noise))
    assert estimates.shape == (count, 1)
    assert (estimates.mean() - expected).abs() < 4 * estimates.std() / count**0.5


@pytest.mark.parametrize("build", [*LEARNED, StandardNormal])
def test_leading_dimensions_equal_a_loop(build: Build) -> None:
    prior, z = build(3), torch.randn(2, 4, 5, 3, dtype=torch.float64)
    expected = torch.stack([torch.stack([torch.stack([prior.log_prob(c) for c in b]) for b in a]) for a in z])
    torch.testing.assert_close(prior.log_prob(z), expected)
    assert prior.log_prob(z[0, :0]).shape == (0, 5)


@pytest.mark.parametrize("build", [*LEARNED, StandardNormal])
def test_draws_are_reproducible_and_carry_no_gradients(build: Build) -> None:
    prior = build(2)
    one, two = (prior.sample(9, torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, prior.sample(9, torch.Generator().manual_seed(1)))
    assert not one.requires_grad
    assert prior.sample(9).shape == (9, 2)


@pytest.mark.parametrize("build", LEARNED)
def test_gradients_reach_every_parameter(build: Build) -> None:
    prior, z = build(3), torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    prior.log_prob(z).sum().backward()
    assert z.grad is not None and z.grad.abs().min() > 0
    for name, parameter in prior.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("build", LEARNED)
def test_gradients_equal_finite_differences(build: Build) -> None:
    z = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(build(3).log_prob, [z])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Mixture(2, components=0), "components is 0; it must be 1 or more"),
        (lambda: Mixture(2, covariance="fill"), "covariance is 'fill'; it must be diagonal or full"),
        (lambda: Mixture(0), "latent_dim is 0; it must be 1 or more"),
        (lambda: VampPrior(2, IMAGE_SHAPE, components=-1), "components is -1; it must be 1 or more"),
        (lambda: Flow(2, layers=0), "layers is 0; it must be 1 or more"),
        (lambda: Flow(2, hidden_dim=0), "hidden_dim is 0; it must be 1 or more"),
        (lambda: Flow(1), "latent_dim is 1; a coupling flow needs 2 or more"),
    ],
)
def test_invalid_sizes_raise(build: Callable[[], Prior], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("build", LEARNED)
def test_draws_from_a_cpu_generator_are_the_same_on_a_gpu(build: Build) -> None:
    prior = build(3)
    z = prior.sample(20, torch.Generator().manual_seed(0))
    log_prob = prior.log_prob(z)
    if isinstance(prior, VampPrior):
        prior._encode.__self__.cuda()
    drawn = prior.cuda().sample(20, torch.Generator().manual_seed(0))
    assert drawn.is_cuda
    torch.testing.assert_close(drawn.cpu(), z)
    torch.testing.assert_close(prior.log_prob(drawn).cpu(), log_prob)
