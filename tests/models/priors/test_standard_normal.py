import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from mnist_vae.models.posteriors import DiagonalGaussian
from mnist_vae.models.priors import StandardNormal


@pytest.mark.parametrize("latent_dim", [1, 2, 20])
@pytest.mark.parametrize("scale", [0.0, 0.1, 3.0])
def test_kl_equals_that_of_torch_distributions(latent_dim: int, scale: float) -> None:
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


def test_kl_gradients_equal_finite_differences() -> None:
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
