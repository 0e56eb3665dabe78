import math

import pytest
import torch
from torch.distributions import Bernoulli as TorchBernoulli

from mnist_vae.likelihoods import Bernoulli

EXTREMES = [-1e4, -100.0, -30.0, -1.0, 0.0, 1.0, 30.0, 100.0, 1e4]


@pytest.mark.parametrize("logit", EXTREMES)
@pytest.mark.parametrize("x", [0.0, 0.25, 1.0])
def test_log_prob_is_its_definition_at_any_logit(logit: float, x: float) -> None:
    # x log p + (1 - x) log(1 - p), with log p = -log(1 + e^-l), written so that nothing overflows.
    log_p, log_not_p = (-(max(-s, 0) + math.log1p(math.exp(-abs(s)))) for s in (logit, -logit))
    expected = x * log_p + (1 - x) * log_not_p
    image = torch.full((1, 1, 1, 1), x)
    log_prob = Bernoulli().log_prob(torch.full((1, 1, 1, 1), logit), image)
    assert log_prob.item() == pytest.approx(expected, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("logit", EXTREMES)
def test_gradients_stay_finite_and_are_the_residual(logit: float) -> None:
    parameters = torch.full((1, 1, 1, 1), logit, requires_grad=True)
    Bernoulli().log_prob(parameters, torch.full((1, 1, 1, 1), 0.25)).backward()
    assert parameters.grad is not None
    assert parameters.grad.item() == pytest.approx(0.25 - torch.sigmoid(torch.tensor(logit)).item(), abs=1e-6)


def test_it_sums_over_pixels_for_each_image() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 2, 4, 3, dtype=torch.float64, generator=generator)
    x = (torch.rand(5, 2, 4, 3, generator=generator) < 0.5).double()
    expected = TorchBernoulli(logits=logits).log_prob(x).sum(dim=(1, 2, 3))
    torch.testing.assert_close(Bernoulli().log_prob(logits, x), expected)


def test_probabilities_sum_to_one() -> None:
    logits = torch.tensor([0.3, -1.2, 2.0]).reshape(1, 1, 1, 3)
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3).reshape(8, 1, 1, 3)
    assert Bernoulli().log_prob(logits.expand(8, 1, 1, 3), images).exp().sum().item() == pytest.approx(1, rel=1e-6)


def test_mean_is_the_probability() -> None:
    assert Bernoulli().mean(torch.tensor([0.0, math.log(3)])).tolist() == pytest.approx([0.5, 0.75])
