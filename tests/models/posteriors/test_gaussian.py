import math
import weakref

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode

from mnist_vae.models.posteriors import Constant, DiagonalGaussian, FullCovariance, Posterior, mapped
from mnist_vae.models.posteriors.gaussian import MAX_LOG_VAR
from mnist_vae.models.priors import StandardNormal
from tests.models.helpers import full_gaussian


def test_samples_have_the_moments_of_the_posterior() -> None:
    posterior = DiagonalGaussian(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, -3.0]]))
    many = DiagonalGaussian(*(tensor.expand(200_000, 2) for tensor in posterior))
    z = many.rsample(torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0)))
    standard_error = (posterior.log_var.exp() / 200_000).sqrt()
    assert ((z.mean(0) - posterior.mean).abs() < 5 * standard_error).all()
    assert torch.allclose(z.var(0), posterior.log_var.exp(), rtol=0.02)


def test_rsample_is_mean_plus_std_times_noise() -> None:
    posterior = DiagonalGaussian(torch.tensor([[1.0]]), torch.tensor([[4.0]]).log())
    assert posterior.rsample(torch.tensor([[0.5]])).item() == pytest.approx(2.0)


def test_from_parameters_unpacks_to_mean_and_log_var() -> None:
    mean, log_var = DiagonalGaussian.from_parameters(torch.randn(3, 8))
    assert mean.shape == log_var.shape == (3, 4)
    Normal(mean, (0.5 * log_var).exp())  # validates that scales are positive


@pytest.mark.parametrize("raw", [-1e6, -50.0, 50.0, 1e6])
def test_log_variances_are_clamped_with_a_gradient_towards_the_range(raw: float) -> None:
    parameters = torch.tensor([[0.0, raw]], requires_grad=True)
    log_var = DiagonalGaussian.from_parameters(parameters).log_var
    assert abs(log_var.item()) == pytest.approx(MAX_LOG_VAR)
    kl = 0.5 * (log_var.exp() - 1 - log_var)
    assert kl.isfinite()
    kl.backward()
    assert parameters.grad is not None and parameters.grad.isfinite().all()
    # Descending the KL must move an exploded log-variance back towards 0.
    assert parameters.grad[0, 1].sign() == torch.tensor(raw).sign()


@pytest.mark.parametrize("raw", [-5.0, 0.0, 5.0])
def test_log_variances_in_range_are_unchanged(raw: float) -> None:
    assert DiagonalGaussian.from_parameters(torch.tensor([[0.0, raw]])).log_var.item() == raw


def test_log_prob_equals_that_of_torch_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_var, z = (torch.randn(5, 3, dtype=torch.float64, generator=generator) for _ in range(3))
    scales = (0.5 * log_var).exp()
    posterior = DiagonalGaussian(mean, log_var)
    torch.testing.assert_close(posterior.log_prob(z), Normal(mean, scales).log_prob(z).sum(1))
    every = Normal(mean[None], scales[None]).log_prob(z[:4, None]).sum(2)  # (codes, images)
    torch.testing.assert_close(posterior.log_prob_pairwise(z[:4]), every)


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_a_constant_posterior_has_one_variance_and_its_kl_in_closed_form(scale: float) -> None:
    layer = Constant(4, 3, scale).double()
    assert layer.weight.shape == (3, 4)
    features = torch.randn(5, 4).double()
    posterior = layer.posterior(features, torch.float64)
    torch.testing.assert_close(posterior.mean, layer(features))
    torch.testing.assert_close(posterior.log_var, torch.full((5, 3), scale**2).log().double())
    assert not posterior.log_var.requires_grad
    expected = 0.5 * (posterior.mean.square() + scale**2 - 1 - 2 * math.log(scale))
    torch.testing.assert_close(StandardNormal(3).kl(posterior), expected.sum(1))
    torch.testing.assert_close(StandardNormal(3).kl_per_dimension(posterior), expected)
    torch.testing.assert_close(expected, kl_divergence(Normal(posterior.mean, scale), Normal(0.0, 1.0)))


@pytest.mark.parametrize("scale", [0.0, -0.1, 1e-5, 1e5, math.inf, math.nan])
def test_a_constant_posterior_without_a_usable_scale_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match=rf"scale is {scale}; it must be from 4\.5e-05 to 2\.2e\+04"):
        Constant(4, 3, scale)


def test_full_covariance_has_one_cholesky_factor_per_image() -> None:
    posterior = full_gaussian()
    assert posterior.mean.shape == (5, 3) and posterior.scale_tril.shape == (5, 3, 3)
    assert torch.equal(posterior.scale_tril, posterior.scale_tril.tril())
    assert (posterior.scale_tril.diagonal(dim1=1, dim2=2) > 0).all()
    assert posterior.scale_tril[0, 2, 0] != 0


@pytest.mark.parametrize("leading", [(), (7,), (2, 6)])
def test_full_gaussian_log_prob_equals_that_of_torch_distributions(leading: tuple[int, ...]) -> None:
    posterior = full_gaussian()
    z = torch.randn(*leading, 5, 3, dtype=torch.float64)
    expected = MultivariateNormal(posterior.mean, scale_tril=posterior.scale_tril)
    torch.testing.assert_close(posterior.log_prob(z), expected.log_prob(z))
    torch.testing.assert_close(posterior.log_var, expected.variance.log())
    codes = z.reshape(-1, 3)
    pairs = expected.log_prob(codes[:, None])
    torch.testing.assert_close(posterior.log_prob_pairwise(codes), pairs)


def test_full_gaussian_is_computed_in_full_precision_under_mixed_precision() -> None:
    posterior = mapped(full_gaussian(), Tensor.float)
    z, noise = torch.randn(7, 3), torch.randn(5, 3)
    with torch.autocast("cpu", torch.bfloat16):
        found = posterior.rsample(noise), posterior.log_prob_pairwise(z), posterior.log_prob(z[:5])
    expected = posterior.rsample(noise), posterior.log_prob_pairwise(z), posterior.log_prob(z[:5])
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_memory_of_full_gaussian_log_prob_pairwise() -> None:
    posterior, z = full_gaussian(images=40, latent_dim=20), torch.randn(500, 20, dtype=torch.float64)
    with torch.no_grad(), PeakMemory() as memory:
        posterior.log_prob_pairwise(z)
    assert memory.peak < 6 * 500 * 40  # a (codes, images, latent_dim) array would have 20 times as many


class PeakMemory(TorchDispatchMode):
    """Dispatch mode that records the maximum number of elements of all tensors alive at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else [result]:
            if isinstance(value, Tensor) and value._base is None:
                self.now += value.numel()
                self.peak = max(self.peak, self.now)
                weakref.finalize(value, self.free, value.numel())
        return result

    def free(self, elements: int) -> None:
        self.now -= elements


def test_full_gaussian_samples_have_its_covariance() -> None:
    posterior = full_gaussian(images=1)
    z = posterior.rsample(torch.randn(400_000, 1, 3, dtype=torch.float64))[:, 0]
    covariance = (posterior.scale_tril @ posterior.scale_tril.mT)[0]
    torch.testing.assert_close(z.T.cov(), covariance, atol=0.02 * covariance.abs().max().item(), rtol=0.02)
    torch.testing.assert_close(z.mean(0), posterior.mean[0], atol=0.02, rtol=0.02)


@pytest.mark.parametrize("latent_dim", [1, 4])
def test_full_gaussian_kl_equals_that_of_torch_distributions(latent_dim: int) -> None:
    posterior = full_gaussian(latent_dim=latent_dim)
    unit = MultivariateNormal(torch.zeros(latent_dim).double(), torch.eye(latent_dim).double())
    expected = kl_divergence(MultivariateNormal(posterior.mean, scale_tril=posterior.scale_tril), unit)
    torch.testing.assert_close(StandardNormal(latent_dim).kl(posterior), expected)
    assert StandardNormal(latent_dim).kl_per_dimension(posterior) is None


@pytest.mark.parametrize("raw", [-1e6, 1e6])
def test_full_gaussian_scale_is_clamped(raw: float) -> None:
    layer = FullCovariance(1, 2)
    torch.nn.init.constant_(layer.weight, raw)
    posterior = layer.posterior(torch.ones(1, 1), torch.float32)
    diagonal = posterior.scale_tril.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(diagonal.log().abs(), torch.full((1, 2), MAX_LOG_VAR / 2))


@pytest.mark.parametrize(
    "posterior", [DiagonalGaussian(torch.randn(5, 3).double(), torch.randn(5, 3).double()), full_gaussian()]
)
@pytest.mark.parametrize("leading", [(), (2, 6)])
def test_the_density_of_samples_is_that_of_their_codes(posterior: Posterior, leading: tuple[int, ...]) -> None:
    noise = torch.randn(*leading, 5, 3).double()
    z, log_q = posterior.rsample_and_log_prob(noise)
    assert torch.equal(z, posterior.rsample(noise))
    torch.testing.assert_close(log_q, posterior.log_prob(z))
