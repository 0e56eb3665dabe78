import math

import pytest
import torch
from torch import Tensor

from mnist_vae.models.likelihoods import Likelihood


class Exponential(Likelihood):
    """Its mean, 1 - exp(-exp(a)), increases with the first of two parameters and does not depend on the second."""

    parameters_per_value = 2

    def mean(self, parameters: Tensor) -> Tensor:
        return 1 - torch.exp(-torch.exp(parameters.chunk(2, dim=-3)[0]))


@pytest.mark.parametrize("mean", [0.001, 0.13, 0.5, 0.9])
def test_parameters_of_a_mean_are_its_inverse_then_zeros(mean: float) -> None:
    parameters = Exponential().parameters_of_mean(torch.tensor([mean, 0.5], dtype=torch.float64))
    expected = [math.log(-math.log(1 - mean)), math.log(math.log(2)), 0, 0]
    assert parameters.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("mean", "limit"), [(0.0, -10), (1.0, 10)])
def test_parameters_of_a_mean_that_cannot_be_reached_are_finite(mean: float, limit: float) -> None:
    parameters = Exponential().parameters_of_mean(torch.tensor([mean], dtype=torch.float64))
    assert abs(parameters[0].item()) <= 10 and parameters[0].item() * limit > 0


def test_binary_pixels_are_independent_draws_with_the_mean_as_probability() -> None:
    parameters = torch.randn(3, 2, 1, 5, generator=torch.Generator().manual_seed(0)).double()
    draws = torch.rand(40_000, 3, 1, 1, 5, generator=torch.Generator().manual_seed(1)).double()
    pixels, mean = Exponential().sample_binary(parameters, draws), Exponential().mean(parameters)
    assert set(pixels.unique().tolist()) == {0.0, 1.0} and pixels.dtype == parameters.dtype
    covariance = torch.cov(pixels.flatten(1).T)
    expected = torch.diag((mean * (1 - mean)).flatten())
    assert (pixels.mean(dim=0) - mean).abs().max() < 5 * 0.5 / 200
    assert (covariance - expected).abs().max() < 5 * 0.5 / 200
