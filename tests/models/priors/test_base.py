import copy
import math
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal, kl_divergence

from mnist_vae.models.likelihoods import Bernoulli
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.posteriors import Diagonal, DiagonalGaussian, FullCovariance, FullGaussian, Posterior
from mnist_vae.models.priors import Flow, Mixture, Prior, StandardNormal, VampPrior, mixture_density
from mnist_vae.models.vae import VAE
from tests.models.test_vae import SHAPE, small

IMAGE_SHAPE = (1, 4, 4)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("latent_dim", [1, 2, 20])
@pytest.mark.parametrize("scale", [0.0, 0.1, 3.0])
def test_kl_against_torch_distributions(latent_dim: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(latent_dim)
    mean = scale * torch.randn(7, latent_dim, dtype=torch.float64, generator=generator)
    log_var = scale * torch.randn(7, latent_dim, dtype=torch.float64, generator=generator)
    expected = kl_divergence(
        Independent(Normal(mean, (0.5 * log_var).exp()), 1),
        Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1),
    )
    kl = StandardNormal(latent_dim).kl(DiagonalGaussian(mean, log_var))
    assert kl.shape == (7,)
    torch.testing.assert_close(kl, expected, rtol=1e-12, atol=1e-12)


def test_kl_gradients_against_finite_differences() -> None:
    def kl(mean: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
        return StandardNormal(3).kl(DiagonalGaussian(mean, log_var))

    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(4, 3, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(kl, inputs)


def test_samples_are_standard_normal_and_reproducible() -> None:
    prior = StandardNormal(2)
    z = prior.sample(100_000, torch.Generator().manual_seed(0))
    assert z.shape == (100_000, 2)
    assert (z.mean(0).abs() < 5 / 100_000**0.5).all()
    assert ((z.var(0) - 1).abs() < 0.03).all()
    assert torch.equal(z, prior.sample(100_000, torch.Generator().manual_seed(0)))


def test_the_kl_is_the_sum_over_dimensions() -> None:
    posterior = DiagonalGaussian(torch.randn(5, 3), torch.randn(5, 3))
    prior = StandardNormal(3)
    assert prior.kl_per_dimension(posterior).shape == (5, 3)
    for j in range(3):
        alone = DiagonalGaussian(posterior.mean[:, j : j + 1], posterior.log_var[:, j : j + 1])
        torch.testing.assert_close(prior.kl_per_dimension(posterior)[:, j], StandardNormal(1).kl(alone))


def test_quantiles_invert_the_distribution_function() -> None:
    probability = torch.linspace(0.01, 0.99, 9, dtype=torch.float64)
    quantile = StandardNormal(2).quantile(probability)
    torch.testing.assert_close(Normal(0.0, 1.0).cdf(quantile), probability[:, None].expand(9, 2))


@pytest.mark.parametrize("temperature", [0.0, 0.5, 2.0])
def test_temperature_scales_the_draws(temperature: float) -> None:
    one, warm = (StandardNormal(2).sample(5, torch.Generator().manual_seed(0), t) for t in (1.0, temperature))
    torch.testing.assert_close(warm, temperature * one)


def randomised(module: nn.Module, scale: float = 0.4) -> nn.Module:
    """Every parameter drawn anew, so that nothing is special; in float64."""
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        parameter.data = scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return module.double()


def vae_with(prior: Prior, family: type[nn.Module] = Diagonal) -> VAE:
    network = MLP(IMAGE_SHAPE, prior.latent_dim, parameters_per_value=1, hidden_dims=[6])
    return VAE(network, Bernoulli(), prior, family(6, prior.latent_dim))


def a_mixture(latent_dim: int) -> Prior:
    prior = randomised(Mixture(latent_dim, components=5))
    prior.means.data *= 4
    return prior


def a_vamp(latent_dim: int, family: type[nn.Module] = Diagonal) -> Prior:
    prior = VampPrior(latent_dim, IMAGE_SHAPE, components=5)
    randomised(vae_with(prior, family))
    prior.unbounded.data = torch.rand(5, *IMAGE_SHAPE, dtype=torch.float64)
    return prior


def a_full_vamp(latent_dim: int) -> Prior:
    return a_vamp(latent_dim, FullCovariance)


def a_flow(latent_dim: int) -> Prior:
    return randomised(Flow(latent_dim, layers=5, hidden_dim=8), scale=0.3)


MIXTURES = [a_mixture, a_vamp, a_full_vamp]
LEARNED = [*MIXTURES, a_flow]
Build = Callable[[int], Prior]


def bound_to(posterior: Posterior) -> VampPrior:
    """A VampPrior prior made of just these Gaussians."""
    prior = VampPrior(posterior.mean.shape[1], IMAGE_SHAPE, components=len(posterior.mean))
    prior.bind(lambda images: posterior)
    return prior


def density_on_a_grid(prior: Prior) -> tuple[Tensor, Tensor]:
    """Points along one axis, and p(z) over the square of them, as z_0 goes down the rows."""
    axis = torch.linspace(-16, 16, 801, dtype=torch.float64)
    with torch.no_grad():
        return axis, prior.log_prob(torch.cartesian_prod(axis, axis)).exp().reshape(801, 801)


def distribution_function(prior: Prior, dimension: int) -> tuple[Tensor, Tensor]:
    """Points along one axis, and the probability that z_dimension is below each, by the trapezoid rule."""
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
    # Kolmogorov's limit: a distance above 2 / sqrt(count) has a probability of 7e-4.
    assert (below - expected).abs().max() < 2 / count**0.5


@pytest.mark.parametrize("build", LEARNED)
def test_draws_depend_on_one_another_as_in_the_density(build: Build) -> None:
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
def test_the_kl_estimate_averages_to_the_integral(build: Build) -> None:
    prior, count = build(1), 100_000
    q = DiagonalGaussian(torch.tensor([[0.7]], dtype=torch.float64), torch.tensor([[-1.0]], dtype=torch.float64))
    axis = torch.linspace(-8, 8, 8001, dtype=torch.float64)
    log_q = Normal(0.7, math.exp(-0.5)).log_prob(axis)
    expected = torch.trapezoid(log_q.exp() * (log_q - prior.log_prob(axis[:, None])), axis)
    noise = torch.randn(count, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    estimates = prior.kl(q, q.rsample(noise))
    assert estimates.shape == (count, 1)
    assert (estimates.mean() - expected).abs() < 4 * estimates.std() / count**0.5


def torch_mixture(gaussians: Posterior, logits: Tensor) -> MixtureSameFamily:
    """The same by torch.distributions."""
    if isinstance(gaussians, FullGaussian):
        return MixtureSameFamily(Categorical(logits=logits), MultivariateNormal(gaussians[0], scale_tril=gaussians[1]))
    mean, log_var = gaussians
    return MixtureSameFamily(Categorical(logits=logits), Independent(Normal(mean, (0.5 * log_var).exp()), 1))


@pytest.mark.parametrize("build", MIXTURES)
@pytest.mark.parametrize("latent_dim", [1, 2, 7])
def test_mixtures_against_torch_distributions(build: Build, latent_dim: int) -> None:
    prior = build(latent_dim)
    logits = prior.logits if isinstance(prior, Mixture) else torch.zeros(5, dtype=torch.float64)
    z = 3 * torch.randn(11, latent_dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(prior.log_prob(z), torch_mixture(prior.components, logits).log_prob(z))


def narrow(full: bool) -> tuple[Posterior, Tensor]:
    """Gaussians such as an encoder gives, of variance 1e-3 and with means of several units; and draws from them."""
    generator = torch.Generator().manual_seed(0)
    mean, log_var = 3 * torch.randn(50, 40, generator=generator), torch.full((50, 40), math.log(1e-3))
    gaussians = FullGaussian(mean, (0.5 * log_var).exp().diag_embed()) if full else DiagonalGaussian(mean, log_var)
    return gaussians, gaussians.rsample(torch.randn(50, 40, generator=generator))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("without_float64", [(), ("cpu",)])
@pytest.mark.parametrize("half", [False, True])
def test_densities_of_narrow_gaussians_are_accurate_in_float32(
    full: bool, without_float64: tuple[str, ...], half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixture_density, "WITHOUT_FLOAT64", without_float64)
    gaussians, z = narrow(full)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        log_prob = bound_to(gaussians).log_prob(z)
    assert log_prob.dtype == torch.float32
    exact = type(gaussians)(*(tensor.double() for tensor in gaussians))
    expected = torch_mixture(exact, torch.zeros(50, dtype=torch.float64)).log_prob(z.double())
    torch.testing.assert_close(log_prob.double(), expected, rtol=0, atol=2e-4)


def test_a_flow_is_as_accurate_under_mixed_precision() -> None:
    flow, z = a_flow(4).float(), torch.randn(9, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = flow.log_prob(z)
    base, log_det = flow(z)
    torch.testing.assert_close(half, StandardNormal(4).log_prob(base) + log_det, rtol=0, atol=1e-5)


@pytest.mark.parametrize("without_float64", [(), ("cpu",)])
def test_many_codes_are_taken_in_parts(without_float64: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixture_density, "WITHOUT_FLOAT64", without_float64)
    prior, z = a_mixture(3), torch.randn(11, 3, dtype=torch.float64)
    whole = prior.log_prob(z)
    monkeypatch.setattr(mixture_density, "PAIRS", 20)
    torch.testing.assert_close(prior.log_prob(z), whole)


@pytest.mark.parametrize("build", [*LEARNED, StandardNormal])
def test_leading_dimensions_are_a_loop(build: Build) -> None:
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


@pytest.mark.parametrize("build", MIXTURES)
def test_temperature_scales_the_components(build: Build) -> None:
    prior = build(3)
    cold, one, warm = (prior.sample(40, torch.Generator().manual_seed(0), t) for t in (0.0, 1.0, 2.0))
    assert (torch.cdist(cold, prior.components.mean).min(dim=1).values < 1e-6).all()
    torch.testing.assert_close(warm - cold, 2 * (one - cold))


def test_temperature_scales_where_a_flow_starts_from() -> None:
    flow = a_flow(3)
    one, warm = (flow(flow.sample(40, torch.Generator().manual_seed(0), t))[0] for t in (1.0, 2.0))
    torch.testing.assert_close(warm, 2 * one)


@pytest.mark.parametrize("build", LEARNED)
def test_gradients_reach_every_parameter(build: Build) -> None:
    prior, z = build(3), torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    prior.log_prob(z).sum().backward()
    assert z.grad is not None and z.grad.abs().min() > 0
    for name, parameter in prior.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("build", LEARNED)
def test_gradients_against_finite_differences(build: Build) -> None:
    z = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(build(3).log_prob, [z])


def test_a_mixture_starts_with_equal_unit_gaussians_about_zero() -> None:
    prior = Mixture(3, components=2000)
    assert (prior.components.mean.std(dim=0) - 1).abs().max() < 0.1
    assert torch.equal(prior.components.log_var, torch.zeros(2000, 3))
    assert prior.logits.unique().numel() == 1


def test_a_mixture_may_collapse_and_stays_finite() -> None:
    prior = Mixture(2, components=3)
    prior.log_vars.data.fill_(-1e4)
    log_prob = prior.log_prob(torch.randn(5, 2)).sum()
    log_prob.backward()
    assert log_prob.isfinite() and prior.log_vars.grad is not None and prior.log_vars.grad.isfinite().all()


def test_pseudo_inputs_are_images_that_start_near_the_datas_mean() -> None:
    images = VampPrior(2, (3, 8, 8), components=50).pseudo_inputs
    assert images.shape == (50, 3, 8, 8)
    assert images.mean().item() == pytest.approx(0.05, abs=1e-3)
    assert images.std().item() == pytest.approx(0.01, abs=1e-3)


def test_pseudo_inputs_stay_in_range_and_are_pulled_back_but_not_pushed_out() -> None:
    prior = VampPrior(2, (1, 1, 5), components=1)
    prior.unbounded.data = torch.tensor([[[[-0.5, -0.5, 0.3, 1.5, 1.5]]]])
    downhill = torch.tensor([-1.0, 1.0, 1.0, 1.0, -1.0])  # the gradient; descending it goes the other way
    images = prior.pseudo_inputs
    (images * downhill).sum().backward()
    assert images.flatten().tolist() == pytest.approx([0, 0, 0.3, 1, 1])
    assert prior.unbounded.grad.flatten().tolist() == [-1, 0, 1, 1, 0]


@pytest.mark.parametrize("family", [Diagonal, FullCovariance])
def test_a_vamp_is_made_of_its_own_vaes_posteriors(family: type[nn.Module]) -> None:
    prior = VampPrior(3, IMAGE_SHAPE, components=4)
    vae = vae_with(prior, family)
    for mine, encoded in zip(prior.components, vae.encode(prior.pseudo_inputs), strict=True):
        assert torch.equal(mine, encoded)
    prior.log_prob(torch.randn(5, 3)).sum().backward()
    assert all(parameter.grad is not None for parameter in [*vae.encoder.parameters(), *vae.to_posterior.parameters()])


def test_a_vamp_adds_only_its_pseudo_inputs_to_the_vae() -> None:
    prior = VampPrior(3, IMAGE_SHAPE, components=4)
    vae = vae_with(prior)
    assert [name for name, _ in prior.named_parameters()] == ["unbounded"]
    assert [*prior.children()] == []
    plain = vae_with(StandardNormal(3))
    assert vae.count_parameters() == plain.count_parameters() + 4 * 16
    assert vae.state_dict().keys() - plain.state_dict().keys() == {"prior.unbounded"}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda vae: pickle.loads(pickle.dumps(vae))])
def test_a_copied_vaes_prior_is_bound_to_the_copy(copied: Callable[[VAE], VAE]) -> None:
    vae, z = vae_with(VampPrior(3, IMAGE_SHAPE, components=4)), torch.randn(5, 3)
    before = vae.prior.log_prob(z)
    other = copied(vae)
    assert torch.equal(other.prior.log_prob(z), before)
    nn.init.constant_(other.to_posterior.bias, 1.0)
    assert torch.equal(vae.prior.log_prob(z), before)
    assert not torch.allclose(other.prior.log_prob(z), before)


def test_a_vamp_without_a_vae_says_so() -> None:
    with pytest.raises(ValueError, match="build the VAE with it"):
        VampPrior(2, IMAGE_SHAPE).log_prob(torch.zeros(1, 2))


@pytest.mark.parametrize("latent_dim", [2, 3, 6])
def test_a_flows_log_determinant_is_its_jacobians(latent_dim: int) -> None:
    flow = a_flow(latent_dim)
    for z in torch.randn(5, latent_dim, dtype=torch.float64):
        jacobian = torch.autograd.functional.jacobian(lambda z: flow(z)[0], z)
        torch.testing.assert_close(flow(z)[1], torch.linalg.slogdet(jacobian).logabsdet)


@pytest.mark.parametrize("latent_dim", [2, 3, 6])
def test_a_flow_goes_there_and_back(latent_dim: int) -> None:
    flow, z = a_flow(latent_dim), 3 * torch.randn(50, latent_dim, dtype=torch.float64)
    assert not torch.allclose(flow(z)[0], z, atol=0.1)
    torch.testing.assert_close(flow.inverse(flow(z)[0]), z)


def test_every_output_of_a_flow_depends_on_every_dimension() -> None:
    flow = a_flow(6)
    jacobian = torch.autograd.functional.jacobian(lambda z: flow(z)[0], torch.randn(6, dtype=torch.float64))
    assert (jacobian != 0).all()


@pytest.mark.parametrize("layers", [1, 4, 5])
def test_a_new_flow_is_the_standard_normal(layers: int) -> None:
    flow, z = Flow(5, layers=layers, hidden_dim=4), torch.randn(9, 5)
    assert torch.equal(flow(z)[0], z)
    torch.testing.assert_close(flow.log_prob(z), StandardNormal(5).log_prob(z))
    draws = (prior.sample(9, torch.Generator().manual_seed(0)) for prior in (flow, StandardNormal(5)))
    torch.testing.assert_close(*draws)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Mixture(2, components=0), "components is 0; it must be 1 or more"),
        (lambda: Mixture(0), "latent_dim is 0; it must be 1 or more"),
        (lambda: VampPrior(2, IMAGE_SHAPE, components=-1), "components is -1; it must be 1 or more"),
        (lambda: Flow(2, layers=0), "layers is 0; it must be 1 or more"),
        (lambda: Flow(2, hidden_dim=0), "hidden_dim is 0; it must be 1 or more"),
        (lambda: Flow(1), "latent_dim is 1; a coupling flow needs 2 or more"),
    ],
)
def test_impossible_sizes_are_refused(build: Callable[[], Prior], message: str) -> None:
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


def test_a_fixed_vamp_has_the_same_density_and_makes_its_components_once() -> None:
    vae = small(prior=VampPrior(3, SHAPE, components=4))
    z, calls = torch.randn(5, 3), []
    encode = vae.prior._encode
    vae.prior.bind(lambda x: calls.append(len(x)) or encode(x))
    fixed = vae.prior.fixed()
    torch.testing.assert_close(fixed.log_prob(z), vae.prior.log_prob(z))
    assert calls == [4, 4]
    fixed.log_prob(z)
    assert calls == [4, 4]
    assert StandardNormal(3).fixed().log_prob(z).shape == (5,)
