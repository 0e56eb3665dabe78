import pytest
import torch

from mnist_vae.noise import Noise
from mnist_vae.objectives import ELBO
from tests.test_vae import SHAPE, small


def terms(objective: ELBO, epoch: float = 0.0):
    x = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    return objective(small(), x, epoch, Noise(4, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
def test_the_loss_is_reconstruction_plus_beta_kl(beta: float) -> None:
    loss, reconstruction, kl = terms(ELBO(beta))
    assert loss.shape == (4,)
    torch.testing.assert_close(loss, reconstruction + beta * kl)


def test_beta_does_not_change_the_terms_themselves() -> None:
    assert torch.equal(terms(ELBO(4.0)).reconstruction, terms(ELBO(1.0)).reconstruction)
    assert torch.equal(terms(ELBO(4.0)).kl, terms(ELBO(1.0)).kl)


@pytest.mark.parametrize(("epoch", "expected"), [(0, 0.0), (0.5, 0.25), (2, 1.0), (4, 2.0), (9, 2.0)])
def test_warm_up_is_linear_then_constant(epoch: float, expected: float) -> None:
    assert ELBO(beta=2.0, warmup_epochs=4).beta_at(epoch) == pytest.approx(expected)


def test_warm_up_is_in_force_in_the_loss() -> None:
    loss, reconstruction, kl = terms(ELBO(beta=2.0, warmup_epochs=4), epoch=1.0)
    torch.testing.assert_close(loss, reconstruction + 0.5 * kl)


@pytest.mark.parametrize("arguments", [{"beta": -1.0}, {"warmup_epochs": -1.0}])
def test_negative_arguments_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} is -1.0"):
        ELBO(**arguments)


def test_what_is_in_force_is_named() -> None:
    objective = ELBO(beta=4.0, warmup_epochs=2)
    assert [objective.in_force(epoch) for epoch in (0, 1, 5)] == [{"beta": 0.0}, {"beta": 2.0}, {"beta": 4.0}]
