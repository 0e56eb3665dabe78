import math

import pytest
import torch

from mnist_vae.analysis.plane import Plane, density, dimension, principal_components


def codes(n: int = 500, dim: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, dim, generator=generator) * torch.arange(1, dim + 1) + 2


def test_a_plane_of_dimensions_has_them_as_coordinates() -> None:
    z = codes()
    assert torch.equal(Plane.of(dimension(3, 5), dimension(1, 5)).project(z), z[:, [3, 1]])


def test_principal_components_have_the_variances_of_the_covariance_and_are_uncorrelated() -> None:
    z = codes() @ torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1))).Q
    projected = Plane.of(*principal_components(z, 2)).project(z)
    expected = torch.linalg.svdvals(z - z.mean(dim=0)).square()[:2] / (len(z) - 1)
    assert torch.allclose(torch.cov(projected.T), torch.diag(expected), atol=1e-3)
    assert torch.allclose(projected.mean(dim=0), torch.zeros(2), atol=1e-4)


def test_the_largest_loading_of_a_component_is_positive() -> None:
    for axis in principal_components(codes(), 2):
        assert axis.direction[axis.direction.abs().argmax()] > 0


@pytest.mark.parametrize("across", ["component", "dimension"])
def test_a_moved_code_is_at_the_position_and_no_nearer_code_is(across: str) -> None:
    z = codes()
    first = principal_components(z, 1)[0] if across == "component" else dimension(0, 5)
    plane = Plane.of(first, dimension(1, 5))
    moved = plane.moved(z[0], torch.tensor([0.5, -1]))
    assert torch.allclose(plane.project(moved), torch.tensor([0.5, -1]), atol=1e-5)
    # The shortest way has no part along directions that both axes do not see.
    unseen = torch.linalg.svd(plane.directions.T).Vh[2:]
    assert torch.allclose(unseen @ (moved - z[0]), torch.zeros(3), atol=1e-5)


def test_with_the_same_axis_twice_the_code_goes_to_the_mean_of_both() -> None:
    plane = Plane.of(dimension(0, 3), dimension(0, 3))
    assert torch.allclose(plane.moved(torch.zeros(3), torch.tensor([1.0, 3])), torch.tensor([2.0, 0, 0]))


def test_the_density_is_that_of_the_distribution() -> None:
    points = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 0.5])
    x, y = torch.linspace(-4, 4, 81), torch.linspace(-2, 2, 61)
    estimate = density(points, x, y)
    assert estimate.shape == (61, 81)
    exact = torch.exp(-0.5 * (x**2 + (2 * y[:, None]) ** 2)) / math.pi
    # The kernel, a fifth of the distribution's width, lowers the maximum by 1 / (1 + 0.2^2).
    assert float((estimate - exact).abs().max()) < 0.1 * float(exact.max())
    assert float(estimate.sum() * (x[1] - x[0]) * (y[1] - y[0])) == pytest.approx(1, abs=0.01)
