import math

import pytest
import torch
from torch import Tensor

from mnist_vae.analysis import latent
from mnist_vae.models.posteriors import DiagonalGaussian
from mnist_vae.models.priors import StandardNormal
from tests.models.test_vae import SHAPE, small


class Shows(torch.nn.Module):
    """A decoder that is a picture of its code, so that a test reads off where a walk went."""

    prior = StandardNormal(2)
    device = torch.device("cpu")
    classes = 0

    def given(self, labels: Tensor | None) -> "Shows":
        return self

    def decode(self, z: Tensor) -> Tensor:
        return z[:, None, None, :]


def codes(images: Tensor) -> Tensor:
    return images[..., 0, 0, :]


SHOWS: latent.VAE = Shows()  # type: ignore[assignment]


@pytest.mark.parametrize("leading", [(3,), (2, 3), (2, 2, 800)])
def test_decoding_keeps_the_shape_around(leading: tuple[int, ...]) -> None:
    vae, z = small(), torch.randn(*leading, 3)
    images = latent.decode(vae, z)
    assert images.shape == (*leading, *SHAPE) and not images.requires_grad
    torch.testing.assert_close(images.reshape(-1, *SHAPE)[-1], vae.decode(z.reshape(-1, 3)[-1:])[0].detach())


def test_a_traversal_moves_one_dimension_and_passes_through_its_start() -> None:
    start, scale = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    walk = codes(latent.traversals(SHOWS, start, [1, 0], scale, torch.tensor([-1.0, 0.0, 2.0])))
    assert walk[0].tolist() == [[1, -5], [1, -2], [1, 4]]
    assert walk[1].tolist() == [[0.5, -2], [1, -2], [2, -2]]
    assert start.tolist() == [1, -2]


def test_interpolations_are_straight_and_end_at_their_ends() -> None:
    walk = codes(latent.interpolations(SHOWS, torch.tensor([[0.0, 0.0]]), torch.tensor([[4.0, -2.0]]), 5))
    assert walk[0].tolist() == [[0, 0], [1, -0.5], [2, -1], [3, -1.5], [4, -2]]


def test_the_manifold_lies_at_the_priors_quantiles_with_the_origin_below_left() -> None:
    plane = codes(latent.manifold(SHOWS, 4))
    probability = 0.5 * (1 + torch.erf(plane / math.sqrt(2)))
    expected = torch.tensor([0.125, 0.375, 0.625, 0.875])
    torch.testing.assert_close(probability[0, :, 0], expected)
    torch.testing.assert_close(probability[:, 0, 1], expected.flip(0))


def test_the_aggregate_deviation_is_that_of_draws_from_all_posteriors() -> None:
    generator = torch.Generator().manual_seed(0)
    posterior = DiagonalGaussian(
        torch.randn(50_000, 2, generator=generator) * 2, torch.tensor([0.0, 1.0]).expand(50_000, 2)
    )
    deviation = latent.aggregate_deviation(posterior)
    torch.testing.assert_close(deviation, torch.tensor([5.0, 4 + math.e]).sqrt(), rtol=0.02, atol=0)


def test_the_most_active_dimensions_come_first_and_silent_ones_not_at_all() -> None:
    means = torch.randn(100, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.2, 3.0, 0.01, 1.0])
    assert latent.most_active(means, 2) == [1, 3] and latent.most_active(means, 9) == [1, 3, 0]
    assert latent.most_active(means / 1000, 9) == [1]  # at least one


def test_the_spread_over_draws_is_the_posteriors() -> None:
    posterior = DiagonalGaussian(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]]).log().clamp(-20))
    mean, deviation = latent.spread(SHOWS, posterior, 20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(codes(mean), posterior.mean, rtol=0.05, atol=0)
    torch.testing.assert_close(codes(deviation), torch.tensor([[0.0, 2.0]]), rtol=0.03, atol=1e-4)
