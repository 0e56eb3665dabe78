import pytest
import torch
from torch.distributions import Normal

from mnist_vae.objectives import MMD
from mnist_vae.objectives.mmd import SCALES, imq_kernel, mmd
from mnist_vae.utils.seeding import Noise
from tests.models.helpers import SHAPE, small_vae


def test_mmd_equals_its_definition() -> None:
    one, other = torch.randn(5, 2).double(), torch.randn(5, 2).double() + 1

    def k(a: torch.Tensor, b: torch.Tensor) -> float:
        return sum(4 * s / (4 * s + float((a - b).square().sum())) for s in SCALES)

    pairs = [(i, j) for i in range(5) for j in range(5)]
    within = sum(k(one[i], one[j]) + k(other[i], other[j]) for i, j in pairs if i != j) / 20
    across = sum(k(one[i], other[j]) for i, j in pairs) / 25
    assert mmd(one, other).item() == pytest.approx(within - 2 * across)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_the_mean_of_mmd_is_the_discrepancy_of_two_gaussians(shift: float) -> None:
    """Exact by quadrature: differences of codes are N(0, 2) within a sample and N(shift, 2) between samples."""
    grid = torch.linspace(-20, 20, 20_001).double()[:, None]
    values = imq_kernel(grid, torch.zeros(1, 1).double())[:, 0]

    def mean(of: float) -> float:
        return float(torch.trapezoid(values * Normal(of, 2**0.5).log_prob(grid[:, 0]).exp(), grid[:, 0]))

    generator = torch.Generator().manual_seed(0)
    draws = [torch.randn(2, 50, 1, generator=generator, dtype=torch.float64) for _ in range(2000)]
    found = torch.stack([mmd(one, other + shift) for one, other in draws])
    assert abs(found.mean() - (2 * mean(0.0) - 2 * mean(shift))) < 4 * found.std() / len(found) ** 0.5


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    vae, x = small_vae(), torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))

    def loss(**weights: float):
        return MMD(**weights)(vae, x, None, 0.0, Noise(6, generator=torch.Generator().manual_seed(1)))

    bare, (both, reconstruction, kl) = loss(mmd_weight=0.0).loss, loss(mmd_weight=10.0, kl_weight=0.25)
    torch.testing.assert_close(bare, reconstruction)
    generator = torch.Generator().manual_seed(1)
    z = vae.encode(x).rsample(torch.randn(6, 3, generator=generator))
    discrepancy = mmd(z, torch.randn(6, 3, generator=generator))
    torch.testing.assert_close(both, reconstruction + 0.25 * kl + 10 * discrepancy)


def test_mmd_of_a_single_image_is_zero() -> None:
    assert mmd(torch.zeros(1, 3), torch.ones(1, 3)) == 0


@pytest.mark.parametrize("name", ["mmd_weight", "kl_weight"])
def test_negative_weights_raise(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is -1"):
        MMD(**{"mmd_weight": 1.0, name: -1.0})
