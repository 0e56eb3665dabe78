import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from mnist_vae.analysis import metrics
from mnist_vae.analysis.metrics import Bracket, Estimate
from mnist_vae.models.posteriors import DiagonalGaussian, FullGaussian
from mnist_vae.models.priors import StandardNormal


def test_elbo_is_minus_both_terms() -> None:
    assert metrics.elbo(90.0, 15.5) == -105.5


def test_active_units_have_a_variance_above_the_threshold() -> None:
    generator = torch.Generator().manual_seed(0)
    standard_deviations = torch.tensor([0.0, 0.05, 0.2, 1.0])  # variances 0, 0.0025, 0.04, 1; the threshold is 0.01
    means = torch.randn(5000, 4, generator=generator) * standard_deviations + 100
    assert metrics.active_units(means) == 2
    assert metrics.active_dimensions(means).tolist() == [False, False, True, True]


def test_the_standard_error_has_the_nominal_coverage() -> None:
    generator = torch.Generator().manual_seed(0)
    estimates = [metrics.Estimate.of(3 + 2 * torch.randn(100, generator=generator)) for _ in range(1000)]
    assert sum(abs(e.mean - 3) < 2 * e.standard_error for e in estimates) == pytest.approx(954, abs=25)
    assert metrics.Estimate.of(torch.tensor([True, True, False, False])).mean == 0.5


def draws(posterior: DiagonalGaussian) -> torch.Tensor:
    return posterior.rsample(torch.randn(posterior.mean.shape, generator=torch.Generator().manual_seed(1)))


def test_mutual_information_of_a_collapsed_posterior_is_zero() -> None:
    posterior = DiagonalGaussian(torch.zeros(500, 3), torch.zeros(500, 3))
    for end in metrics.mutual_information(posterior, draws(posterior)):
        assert end.abs().max() < 1e-12


def test_mutual_information_of_separated_posteriors_is_at_least_log_n() -> None:
    posterior = DiagonalGaussian(100 * torch.arange(500.0)[:, None], torch.full((500, 1), -2.0))
    lower, upper = metrics.mutual_information(posterior, draws(posterior))
    assert lower.shape == upper.shape == (500,)
    assert torch.allclose(lower, torch.full((500,), math.log(500), dtype=torch.float64))
    assert (upper > 1000).all() and upper.isfinite().all()


def test_a_single_image_says_nothing_from_one_side() -> None:
    posterior = DiagonalGaussian(torch.zeros(1, 2), torch.zeros(1, 2))
    lower, upper = metrics.mutual_information(posterior, draws(posterior))
    assert lower.item() == pytest.approx(0) and upper.item() == math.inf


@pytest.mark.parametrize("pairs", [5_000_000, 700_000])
def test_mutual_information_of_a_gaussian_channel(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With means from N(0, s²) and posteriors of variance v, I(x; z) is 1/2 log(1 + s² / v) nats per dimension.

    q(z) is N(0, s² + v), so the marginal KL has a closed form too.
    """
    monkeypatch.setattr(metrics, "MAX_PAIRS", pairs)
    n, variances, noise = 6_000, torch.tensor([0.75, 2.0]), torch.tensor([0.25, 1.0])
    means = torch.randn(n, 2, generator=torch.Generator().manual_seed(0)) * variances.sqrt()
    posterior = DiagonalGaussian(means, noise.log().expand(n, 2))
    information = metrics.mutual_information(posterior, draws(posterior))
    exact = 0.5 * torch.log(1 + variances / noise).sum().item()
    total = variances + noise
    marginal = 0.5 * (total - 1 - total.log()).sum().item()
    kl = StandardNormal(2).kl(posterior).double()
    for end, other in zip(information, reversed(metrics.marginal_kl(kl, information)), strict=True):
        estimate = Estimate.of(end)
        assert estimate.mean == pytest.approx(exact, abs=4 * estimate.standard_error)
        assert estimate.standard_error < 0.02
        assert kl.mean().item() - estimate.mean == pytest.approx(other.mean().item())
        assert other.mean().item() == pytest.approx(marginal, abs=0.08)


def test_mutual_information_is_accurate_for_narrow_posteriors() -> None:
    # Means of about 1 and standard deviations of exp(-8): expanded squares in float32 would have errors of nats.
    means = torch.randn(300, 20, generator=torch.Generator().manual_seed(0))
    posterior = DiagonalGaussian(means, torch.full((300, 20), -16.0))
    information = metrics.mutual_information(posterior, draws(posterior)).lower
    assert torch.allclose(information, torch.full((300,), math.log(300), dtype=torch.float64), atol=1e-4)


def standard_aggregate(n: int, dimensions: int, scale: float) -> tuple[DiagonalGaussian, torch.Tensor]:
    """Posteriors whose aggregate is exactly N(0, I), and their KL: marginal KL and total correlation are 0."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(n, dimensions, generator=generator) * math.sqrt(1 - scale**2)
    posterior = DiagonalGaussian(means, torch.full((n, dimensions), 2 * math.log(scale)))
    return posterior, StandardNormal(dimensions).kl(posterior).double()


@pytest.mark.parametrize(("dimensions", "scale", "gap"), [(1, 0.3, 0.01), (2, 0.3, 0.1), (3, 0.6, 0.1)])
def test_overlapping_posteriors_give_a_narrow_bracket(dimensions: int, scale: float, gap: float) -> None:
    posterior, kl = standard_aggregate(2000, dimensions, scale)
    z = draws(posterior)
    information = metrics.mutual_information(posterior, z)
    assert_bracketed(information, -dimensions * math.log(scale), gap)
    assert_bracketed(metrics.marginal_kl(kl, information), 0.0, gap)
    assert_bracketed(metrics.total_correlation(posterior, z), 0.0, gap)


def test_the_two_estimates_are_biased_in_opposite_directions() -> None:
    posterior, kl = standard_aggregate(1000, 4, 0.2)
    z = draws(posterior)
    information = metrics.mutual_information(posterior, z)
    for bracket, exact in (
        (information, -4 * math.log(0.2)),
        (metrics.marginal_kl(kl, information), 0.0),
        (metrics.total_correlation(posterior, z), 0.0),
    ):
        lower, upper = map(Estimate.of, bracket)
        assert lower.mean + 5 * lower.standard_error < exact < upper.mean - 5 * upper.standard_error


def test_where_posteriors_do_not_overlap_the_bracket_says_nothing() -> None:
    """The saturated estimate alone, KL - log n, would be nats above the marginal KL, with a small standard error."""
    posterior, kl = standard_aggregate(500, 20, 0.3)
    marginal = metrics.marginal_kl(kl, metrics.mutual_information(posterior, draws(posterior)))
    assert marginal.upper.mean().item() == pytest.approx(kl.mean().item() - math.log(500), abs=1e-3)
    assert marginal.lower.mean() < -10


def assert_bracketed(bracket: Bracket, exact: float, gap: float) -> None:
    """Assert that the exact value is in the bracket, up to the error of the means, and that it is at most that wide."""
    lower, upper = map(Estimate.of, bracket)
    assert lower.mean - 4 * lower.standard_error < exact < upper.mean + 4 * upper.standard_error
    assert 0 <= upper.mean - lower.mean < gap


def kl_by_quadrature(log_p: torch.Tensor, log_q: torch.Tensor, cell: float) -> float:
    return float((log_p.exp() * (log_p - log_q)).sum() * cell)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_bracket_holds_the_value_by_quadrature(dimensions: int) -> None:
    """Images of three kinds, each with its own posterior, so that q(z) is a mixture of three Gaussians."""
    means = torch.tensor([[-1.0, 0.5], [0.3, -0.8], [1.2, 1.0]]).double()[:, :dimensions]
    log_vars = torch.tensor([[-1.0, -2.0], [-0.5, -1.0], [-1.5, -0.5]]).double()[:, :dimensions]
    axis = torch.linspace(-6, 6, 601, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * dimensions).reshape(-1, dimensions)
    cell = 0.02**dimensions
    kinds = DiagonalGaussian(means, log_vars)
    log_prob = kinds.log_prob_pairwise(grid)
    log_q = log_prob.logsumexp(dim=1) - math.log(3)
    information = sum(kl_by_quadrature(log_prob[:, kind], log_q, cell) for kind in range(3)) / 3
    marginals = [DiagonalGaussian(means[:, [j]], log_vars[:, [j]]) for j in range(dimensions)]
    log_product = sum(one.log_prob_pairwise(grid[:, [j]]).logsumexp(dim=1) for j, one in enumerate(marginals))
    correlation = kl_by_quadrature(log_q, log_product - dimensions * math.log(3), cell)
    marginal_kl = kl_by_quadrature(log_q, StandardNormal(dimensions).log_prob(grid), cell)

    kind = torch.randint(3, (3000,), generator=torch.Generator().manual_seed(0))
    posterior = DiagonalGaussian(means[kind], log_vars[kind])
    z = draws(posterior)
    found = metrics.mutual_information(posterior, z)
    assert_bracketed(found, information, 0.01)
    assert_bracketed(metrics.marginal_kl(StandardNormal(dimensions).kl(posterior), found), marginal_kl, 0.01)
    assert_bracketed(metrics.total_correlation(posterior, z), correlation, 0.01)
    assert correlation == pytest.approx(0, abs=1e-6) if dimensions == 1 else correlation > 0.05


@pytest.mark.parametrize("correlation", [0.0, 0.5, -0.9])
def test_total_correlation_of_a_gaussian(correlation: float) -> None:
    """If all posteriors are equal, q(z) is a Gaussian, with total correlation -log(1 - r²)/2."""
    scale_tril = torch.linalg.cholesky(torch.tensor([[4.0, 2 * correlation], [2 * correlation, 1.0]]).double())
    posterior = FullGaussian(torch.ones(3000, 2).double(), scale_tril.expand(3000, 2, 2))
    z = posterior.rsample(torch.randn(3000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    for end in metrics.total_correlation(posterior, z):
        found = Estimate.of(end)
        assert abs(found.mean + 0.5 * math.log(1 - correlation**2)) <= 4 * found.standard_error + 1e-9


@pytest.mark.parametrize("pairs", [5_000_000, 100])
def test_total_correlation_equals_that_of_torch_mixtures(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_PAIRS", pairs)
    n, generator = 20, torch.Generator().manual_seed(0)
    mean, log_var, z = (torch.randn(n, 3, dtype=torch.float64, generator=generator) for _ in range(3))

    def mixture(code: torch.Tensor, which: list[int], dimensions: list[int]) -> torch.Tensor:
        components = Normal(mean[which][:, dimensions], (0.5 * log_var[which][:, dimensions]).exp())
        weights = Categorical(torch.ones(len(which)).double())
        return MixtureSameFamily(weights, Independent(components, 1)).log_prob(code[dimensions])

    lower, upper = [], []
    for i, code in enumerate(z[:15]):
        whole = list(range(n))
        others = whole[:i] + whole[i + 1 :]
        joint = [mixture(code, which, [0, 1, 2]) for which in (others, whole)]
        singles = [sum(mixture(code, which, [j]) for j in range(3)) for which in (others, whole)]
        lower.append(joint[0] - singles[1])
        upper.append(joint[1] - singles[0])
    found = metrics.total_correlation(DiagonalGaussian(mean, log_var), z[:15])
    torch.testing.assert_close(found, Bracket(torch.stack(lower), torch.stack(upper)))
