import pytest
import torch
from torch.distributions import Normal

from mnist_vae.objectives import MMD
from mnist_vae.objectives.mmd import SCALES, kernel, mmd
from mnist_vae.utils.seeding import Noise
from tests.models.test_vae import SHAPE, small


def test_it_is_the_unbiased_double_sum() -> None:
    one, other = torch.randn(5, 2).double(), torch.randn(5, 2).double() + 1

    def k(a: torch.Tensor, b: torch.Tensor) -> float:
        return sum(4 * s / (4 * s + float((a - b).square().sum())) for s in SCALES)

    pairs = [(i, j) for i in range(5) for j in range(5)]
    within = sum(k(one[i], one[j]) + k(other[i], other[j]) for i, j in pairs if i != j) / 20
    across = sum(k(one[i], other[j]) for i, j in pairs) / 25
    assert mmd(one, other).item() == pytest.approx(within - 2 * across)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_its_mean_is_the_discrepancy_of_two_gaussians_by_quadrature(shift: float) -> None:
    """In one dimension the differences of two codes are N(0, 2) within and N(shift, 2) across."""
    grid = torch.linspace(-20, 20, 20_001).double()[:, None]
    values = kernel(grid, torch.zeros(1, 1).double())[:, 0]

    def mean(of: float) -> float:
        return float(torch.trapezoid(values * Normal(of, 2**0.5).log_prob(grid[:, 0]).exp(), grid[:, 0]))

    generator = torch.Generator().manual_seed(0)
    draws = [torch.randn(2, 50, 1, generator=generator, dtype=torch.float64) for _ in range(2000)]
    found = torch.stack([mmd(one, other + shift) for one, other in draws])
    assert abs(found.mean() - (2 * mean(0.0) - 2 * mean(shift))) < 4 * found.std() / len(found) ** 0.5


def test_the_loss_is_made_of_its_parts() -> None:
    vae, x = small(), torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))

    def loss(**weights: float):
        return MMD(**weights)(vae, x, None, 0.0, Noise(6, generator=torch.Generator().manual_seed(1)))

    bare, (both, reconstruction, kl) = loss(mmd_weight=0.0).loss, loss(mmd_weight=10.0, kl_weight=0.25)
    torch.testing.assert_close(bare, reconstruction)
    generator = torch.Generator().manual_seed(1)
    z = vae.encode(x).rsample(torch.randn(6, 3, generator=generator))
    discrepancy = mmd(z, torch.randn(6, 3, generator=generator))
    torch.testing.assert_close(both, reconstruction + 0.25 * kl + 10 * discrepancy)


def test_a_single_image_has_none() -> None:
    assert mmd(torch.zeros(1, 3), torch.ones(1, 3)) == 0


@pytest.mark.parametrize("name", ["mmd_weight", "kl_weight"])
def test_negative_weights_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is -1"):
        MMD(**{"mmd_weight": 1.0, name: -1.0})
