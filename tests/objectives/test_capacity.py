import pytest
import torch

from mnist_vae.objectives import Capacity, Terms
from mnist_vae.utils.seeding import Noise
from tests.models.helpers import SHAPE, small_vae


def terms(objective: Capacity, epoch: float) -> Terms:
    x = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    return objective(small_vae(), x, None, epoch, Noise(4, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(("epoch", "expected"), [(0, 0.0), (2, 5.0), (8, 20.0), (9, 20.0)])
def test_the_capacity_increases_linearly_and_then_is_constant(epoch: float, expected: float) -> None:
    objective = Capacity(capacity=20.0, gamma=30.0, rise_epochs=8)
    assert objective.capacity_at(epoch) == pytest.approx(expected)
    assert objective.schedule_values(epoch) == {"capacity": pytest.approx(expected)}


def test_with_zero_rise_epochs_the_capacity_is_constant() -> None:
    assert Capacity(capacity=20.0, gamma=30.0, rise_epochs=0).capacity_at(0) == 20.0


@pytest.mark.parametrize("capacity", [0.0, 50.0])  # below and above the KL
def test_the_loss_penalises_the_distance_of_the_mean_kl_from_the_capacity(capacity: float) -> None:
    loss, reconstruction, kl = terms(Capacity(capacity, gamma=3.0, rise_epochs=0), 1.0)
    assert 0 < kl.mean() < 50
    torch.testing.assert_close(loss, reconstruction + 3 * abs(kl.mean() - capacity))


@pytest.mark.parametrize("name", ["capacity", "gamma", "rise_epochs"])
def test_negative_arguments_raise(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is -1"):
        Capacity(**{"capacity": 1.0, "gamma": 1.0, "rise_epochs": 1.0, name: -1.0})
