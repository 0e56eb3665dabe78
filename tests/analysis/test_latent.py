import math

import pytest
import torch
from torch import Tensor

from mnist_vae.analysis import latent
from mnist_vae.models.posteriors import DiagonalGaussian
from mnist_vae.models.priors import StandardNormal
from tests.models.helpers import SHAPE, small_vae


class CodeDecoder(torch.nn.Module):
    """A decoder whose image is the code itself, so that a test can read the codes from the images."""

    prior = StandardNormal(2)
    device = torch.device("cpu")
    classes = 0

    def decode(self, z: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        return z[:, None, None, :]


def codes(images: Tensor) -> Tensor:
    return images[..., 0, 0, :]


VAE: latent.VAE = CodeDecoder()  # type: ignore[assignment]


@pytest.mark.parametrize("leading", [(3,), (2, 3), (2, 2, 800)])
def test_decoding_keeps_leading_dimensions(leading: tuple[int, ...]) -> None:
    vae, z = small_vae(), torch.randn(*leading, 3)
    images = latent.decode(vae, z)
    assert images.shape == (*leading, *SHAPE) and not images.requires_grad
    torch.testing.assert_close(images.reshape(-1, *SHAPE)[-1], vae.decode(z.reshape(-1, 3)[-1:])[0].detach())


def test_a_traversal_varies_one_dimension_around_its_start() -> None:
    start, scale = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    path = codes(latent.traversals(VAE, start, [1, 0], scale, torch.tensor([-1.0, 0.0, 2.0])))
    assert path[0].tolist() == [[1, -5], [1, -2], [1, 4]]
    assert path[1].tolist() == [[0.5, -2], [1, -2], [2, -2]]
    assert start.tolist() == [1, -2]


def test_interpolations_are_linear_and_include_both_ends() -> None:
    path = codes(latent.interpolations(VAE, torch.tensor([[0.0, 0.0]]), torch.tensor([[4.0, -2.0]]), 5))
    assert path[0].tolist() == [[0, 0], [1, -0.5], [2, -1], [3, -1.5], [4, -2]]


def test_the_manifold_consists_of_quantiles_increasing_to_the_right_and_upwards() -> None:
    plane = codes(latent.manifold(VAE, 4))
    probability = 0.5 * (1 + torch.erf(plane / math.sqrt(2)))
    expected = torch.tensor([0.125, 0.375, 0.625, 0.875])
    torch.testing.assert_close(probability[0, :, 0], expected)
    torch.testing.assert_close(probability[:, 0, 1], expected.flip(0))


def test_aggregate_std_is_that_of_the_mixture_of_posteriors() -> None:
    generator = torch.Generator().manual_seed(0)
    posterior = DiagonalGaussian(
        torch.randn(50_000, 2, generator=generator) * 2, torch.tensor([0.0, 1.0]).expand(50_000, 2)
    )
    deviation = latent.aggregate_std(posterior)
    torch.testing.assert_close(deviation, torch.tensor([5.0, 4 + math.e]).sqrt(), rtol=0.02, atol=0)


def test_most_active_dimensions_are_sorted_and_exclude_inactive_ones() -> None:
    means = torch.randn(100, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.2, 3.0, 0.01, 1.0])
    assert latent.most_active_dimensions(means, 2) == [1, 3] and latent.most_active_dimensions(means, 9) == [1, 3, 0]
    assert latent.most_active_dimensions(means / 1000, 9) == [1]  # at least one


def test_reconstruction_moments_are_those_of_the_posterior() -> None:
    posterior = DiagonalGaussian(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]]).log().clamp(-20))
    mean, deviation = latent.reconstruction_moments(VAE, posterior, 20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(codes(mean), posterior.mean, rtol=0.05, atol=0)
    torch.testing.assert_close(codes(deviation), torch.tensor([[0.0, 2.0]]), rtol=0.03, atol=1e-4)
