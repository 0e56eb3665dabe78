"""CIWAE on the linear-Gaussian VAE, whose log p(x) has a closed form; see tests/models/helpers.py."""

import math

import pytest
import torch
from torch import Tensor

from mnist_vae.objectives import CIWAE, IWAE
from mnist_vae.objectives.importance_weights import bound, draw
from mnist_vae.utils.seeding import Noise
from tests.models.helpers import linear_gaussian_vae
from tests.objectives.test_iwae import gradients, losses


@pytest.mark.parametrize("elbo_weight", [0.0, 0.3, 1.0])
def test_the_mean_loss_lies_between_the_elbo_and_the_iwae(elbo_weight: float) -> None:
    """The ELBO in closed form; the IWAE of k = 2 by an independent draw of its own samples."""
    vae, x, exact = linear_gaussian_vae(tight=False)
    with torch.no_grad():
        posterior = vae.encode(x)
        residual = vae.decode(posterior.mean) - x
        # E|Wz + b - x|² is that at the mean plus Σ_j |W_j|² var_j.
        spread = (vae.decoder[0].weight.square().sum(0) * posterior.log_var.exp()).sum(1)
        constant = 0.5 * 4 * math.log(2 * math.pi)
        elbo = (
            -0.5 * (residual.square().flatten(1).sum(1) + spread) - constant - vae.prior.kl(posterior, posterior.mean)
        )
        iwae = -losses(IWAE(2), vae, x, 20_000, seed=5)
        found = -losses(CIWAE(2, elbo_weight), vae, x, 20_000)
    expected = elbo_weight * elbo + (1 - elbo_weight) * iwae.mean(1)
    error = (found.var(1) / 20_000 + iwae.var(1) / 20_000).sqrt()
    assert ((found.mean(1) - expected).abs() < 4 * error).all()
    assert (expected < exact).all()


def grads(objective: IWAE | CIWAE) -> dict[str, Tensor]:
    vae, x, _ = linear_gaussian_vae(tight=False)
    objective(vae, x, None, 0.0, Noise(6, generator=torch.Generator().manual_seed(0))).loss.mean().backward()
    return {name: p.grad for name, p in vae.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("doubly", [False, True])
def test_at_its_ends_it_is_the_iwae_and_the_elbo(doubly: bool) -> None:
    """Up to the order of samples, which are independent, the ELBO of k samples is the MIWAE of k bounds."""
    for one, other in ((CIWAE(4, 0.0, doubly), IWAE(4, 1, doubly)), (CIWAE(4, 1.0, doubly), IWAE(1, 4, doubly))):
        first, second = grads(one), grads(other)
        assert len(first) == len(second) == 4
        for name, gradient in first.items():
            torch.testing.assert_close(gradient, second[name])


def test_both_gradient_estimators_have_the_same_mean() -> None:
    plain, doubly = gradients(CIWAE(4, 0.4), seed=0), gradients(CIWAE(4, 0.4, True), seed=1)
    for name, one in plain.items():
        error = ((one.var(0) + doubly[name].var(0)) / len(one)).sqrt()
        assert ((one.mean(0) - doubly[name].mean(0)).abs() < 4.5 * error + 1e-12).all(), name
    assert doubly["to_posterior.weight"].var(0).sum() < 0.7 * plain["to_posterior.weight"].var(0).sum()


def test_weights_of_zero_leave_the_doubly_reparameterized_gradient_finite() -> None:
    vae, x, _ = linear_gaussian_vae(tight=False)
    objective = CIWAE(16, 0.0, doubly_reparameterized=True)
    with torch.no_grad():
        vae.decoder[0].weight.mul_(100)  # so that all but one of the samples' weights are 0
        samples = draw(vae.float(), x.float(), None, Noise(6), 1, 16)
        assert (samples.log_weight.softmax(dim=1) == 0).any() and bound(samples.log_weight).isfinite().all()
    objective(vae, x.float(), None, 0.0, Noise(6)).loss.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in vae.parameters())


@pytest.mark.parametrize(
    ("k", "weight", "message"), [(0, 0.5, "k is 0"), (2, 1.5, r"elbo_weight is 1\.5"), (2, float("nan"), "is nan")]
)
def test_values_out_of_range_raise(k: int, weight: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CIWAE(k, weight)
