import pytest
import torch
from torch.distributions import Normal

from mnist_vae.posteriors import MAX_LOG_VAR, DiagonalGaussian


def test_draws_have_the_posteriors_moments() -> None:
    posterior = DiagonalGaussian(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, -3.0]]))
    many = DiagonalGaussian(*(tensor.expand(200_000, 2) for tensor in posterior))
    z = many.rsample(torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0)))
    standard_error = (posterior.log_var.exp() / 200_000).sqrt()
    assert ((z.mean(0) - posterior.mean).abs() < 5 * standard_error).all()
    assert torch.allclose(z.var(0), posterior.log_var.exp(), rtol=0.02)


def test_a_draw_is_mean_plus_std_times_noise() -> None:
    posterior = DiagonalGaussian(torch.tensor([[1.0]]), torch.tensor([[4.0]]).log())
    assert posterior.rsample(torch.tensor([[0.5]])).item() == pytest.approx(2.0)


def test_it_unpacks_and_agrees_with_torch() -> None:
    mean, log_var = DiagonalGaussian.from_parameters(torch.randn(3, 8))
    assert mean.shape == log_var.shape == (3, 4)
    Normal(mean, (0.5 * log_var).exp())  # validates that scales are positive


@pytest.mark.parametrize("raw", [-1e6, -50.0, 50.0, 1e6])
def test_log_variances_are_bounded_and_still_pulled_back(raw: float) -> None:
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
def test_ordinary_log_variances_are_untouched(raw: float) -> None:
    assert DiagonalGaussian.from_parameters(torch.tensor([[0.0, raw]])).log_var.item() == raw


def test_log_prob_against_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_var, z = (torch.randn(5, 3, dtype=torch.float64, generator=generator) for _ in range(3))
    scales = (0.5 * log_var).exp()
    posterior = DiagonalGaussian(mean, log_var)
    torch.testing.assert_close(posterior.log_prob(z), Normal(mean, scales).log_prob(z).sum(1))
    every = Normal(mean[None], scales[None]).log_prob(z[:4, None]).sum(2)  # (codes, images)
    torch.testing.assert_close(posterior.log_prob_pairwise(z[:4]), every)
