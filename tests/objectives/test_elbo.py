import pytest
import torch

from mnist_vae.models.vae import VAE
from mnist_vae.objectives import ELBO, Terms
from mnist_vae.utils.seeding import Noise
from tests.models.helpers import SHAPE, small_vae


def terms(objective: ELBO, epoch: float = 0.0, vae: VAE | None = None) -> Terms:
    x = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    return objective(vae or small_vae(), x, None, epoch, Noise(4, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
def test_the_loss_is_reconstruction_plus_beta_kl(beta: float) -> None:
    loss, reconstruction, kl = terms(ELBO(beta))
    assert loss.shape == (4,)
    torch.testing.assert_close(loss, reconstruction + beta * kl)


def test_the_terms_do_not_depend_on_beta() -> None:
    assert torch.equal(terms(ELBO(4.0)).reconstruction, terms(ELBO(1.0)).reconstruction)
    assert torch.equal(terms(ELBO(4.0)).kl, terms(ELBO(1.0)).kl)


@pytest.mark.parametrize(("epoch", "expected"), [(0, 0.0), (0.5, 0.25), (2, 1.0), (4, 2.0), (9, 2.0)])
def test_warm_up_is_linear_then_constant(epoch: float, expected: float) -> None:
    assert ELBO(beta=2.0, warmup_epochs=4).beta_at(epoch) == pytest.approx(expected)


def test_warm_up_is_applied_to_the_loss() -> None:
    loss, reconstruction, kl = terms(ELBO(beta=2.0, warmup_epochs=4), epoch=1.0)
    torch.testing.assert_close(loss, reconstruction + 0.5 * kl)


@pytest.mark.parametrize("arguments", [{"beta": -1.0}, {"warmup_epochs": -1.0}])
def test_negative_arguments_raise(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} is -1.0"):
        ELBO(**arguments)


def test_schedule_values_are_the_current_beta() -> None:
    objective = ELBO(beta=4.0, warmup_epochs=2)
    assert [objective.schedule_values(epoch) for epoch in (0, 1, 5)] == [{"beta": 0.0}, {"beta": 2.0}, {"beta": 4.0}]


@pytest.mark.parametrize(
    ("epoch", "expected"), [(0, 0.0), (1, 1.0), (2, 2.0), (4.9, 2.0), (5, 0.0), (6, 1.0), (14, 2.0)]
)
def test_a_cyclical_warm_up_is_repeated(epoch: float, expected: float) -> None:
    assert ELBO(beta=2.0, warmup_epochs=2, cycle_epochs=5).beta_at(epoch) == pytest.approx(expected)


@pytest.mark.parametrize("arguments", [{"cycle_epochs": 5}, {"warmup_epochs": 3, "cycle_epochs": 2}])
def test_a_cycle_needs_a_warm_up_that_fits(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cycle_epochs is"):
        ELBO(**arguments)


@pytest.mark.parametrize("free_bits", [0.01, 0.3, 100.0])
def test_free_bits_are_a_lower_bound_on_the_kl_of_each_dimension(free_bits: float) -> None:
    vae = small_vae()
    loss, reconstruction, kl = terms(ELBO(free_bits=free_bits), vae=vae)
    x = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    mean, log_var = vae.encode(x)
    kls = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).mean(0)
    rate = sum(max(free_bits, value) for value in kls.tolist())
    torch.testing.assert_close(loss - reconstruction, torch.full((4,), rate))
    torch.testing.assert_close(kl, terms(ELBO(), vae=vae).kl)


def test_below_free_bits_the_kl_has_no_gradient() -> None:
    vae = small_vae()
    loss, reconstruction, _ = terms(ELBO(free_bits=100.0), vae=vae)
    (loss - reconstruction).sum().backward()
    assert all(p.grad is None or p.grad.eq(0).all() for p in vae.parameters())
