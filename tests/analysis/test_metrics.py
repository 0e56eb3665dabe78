import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from mnist_vae.analysis import metrics
from mnist_vae.analysis.metrics import Estimate
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
    assert metrics.mutual_information(posterior, draws(posterior)).abs().max() < 1e-12


def test_mutual_information_of_separated_posteriors_is_log_n() -> None:
    posterior = DiagonalGaussian(100 * torch.arange(500.0)[:, None], torch.full((500, 1), -2.0))
    information = metrics.mutual_information(posterior, draws(posterior))
    assert information.shape == (500,)
    assert torch.allclose(information, torch.full((500,), math.log(500), dtype=torch.float64))


@pytest.mark.parametrize("pairs", [5_000_000, 700_000])
def test_mutual_information_of_a_gaussian_channel(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With means from N(0, s²) and posteriors of variance v, I(x; z) is 1/2 log(1 + s² / v) nats per dimension.

    q(z) is N(0, s² + v), so the marginal KL has a closed form too. Both hold approximately for finitely many images.
    """
    monkeypatch.setattr(metrics, "MAX_PAIRS", pairs)
    n, variances, noise = 6_000, torch.tensor([0.75, 2.0]), torch.tensor([0.25, 1.0])
    means = torch.randn(n, 2, generator=torch.Generator().manual_seed(0)) * variances.sqrt()
    posterior = DiagonalGaussian(means, noise.log().expand(n, 2))
    estimate = metrics.Estimate.of(metrics.mutual_information(posterior, draws(posterior)))
    exact = 0.5 * torch.log(1 + variances / noise).sum().item()
    assert estimate.mean == pytest.approx(exact, abs=4 * estimate.standard_error)
    assert estimate.standard_error < 0.02
    total = variances + noise
    marginal = 0.5 * (total - 1 - total.log()).sum().item()
    kl = StandardNormal(2).kl(posterior).mean().item()
    assert kl - estimate.mean == pytest.approx(marginal, abs=0.08)


def test_mutual_information_is_accurate_for_narrow_posteriors() -> None:
    # Means of about 1 and standard deviations of exp(-8): expanded squares in float32 would have errors of nats.
    means = torch.randn(300, 20, generator=torch.Generator().manual_seed(0))
    posterior = DiagonalGaussian(means, torch.full((300, 20), -16.0))
    information = metrics.mutual_information(posterior, draws(posterior))
    assert torch.allclose(information, torch.full((300,), math.log(300), dtype=torch.float64), atol=1e-4)


@pytest.mark.parametrize("correlation", [0.0, 0.5, -0.9])
def test_total_correlation_of_a_gaussian(correlation: float) -> None:
    """If all posteriors are equal, q(z) is a Gaussian, with total correlation -log(1 - r²)/2."""
    scale_tril = torch.linalg.cholesky(torch.tensor([[4.0, 2 * correlation], [2 * correlation, 1.0]]).double())
    posterior = FullGaussian(torch.ones(3000, 2).double(), scale_tril.expand(3000, 2, 2))
    z = posterior.rsample(torch.randn(3000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    found = Estimate.of(metrics.total_correlation(posterior, z))
    assert abs(found.mean + 0.5 * math.log(1 - correlation**2)) <= 4 * found.standard_error + 1e-9


def test_total_correlation_equals_that_of_torch_mixtures() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_var, z = (torch.randn(40, 3, dtype=torch.float64, generator=generator) for _ in range(3))
    components = Normal(mean, (0.5 * log_var).exp())
    weights = Categorical(torch.ones(40).double())
    joint = MixtureSameFamily(weights, Independent(components, 1)).log_prob(z)
    marginals = [
        MixtureSameFamily(weights, Normal(components.mean[:, j], components.stddev[:, j])).log_prob(z[:, j])
        for j in range(3)
    ]
    expected = joint - torch.stack(marginals).sum(0)
    torch.testing.assert_close(metrics.total_correlation(DiagonalGaussian(mean, log_var), z), expected)
