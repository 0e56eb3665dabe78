import pytest
import torch

from mnist_vae.models.posteriors import DiagonalGaussian, Posterior, concatenated, mapped
from mnist_vae.models.posteriors.base import clamp
from tests.models.helpers import full_gaussian


@pytest.mark.parametrize("posterior", [DiagonalGaussian(torch.ones(2, 3), torch.zeros(2, 3)), full_gaussian(2)])
def test_mapped_and_concatenated_keep_the_family(posterior: Posterior) -> None:
    first, second = (mapped(posterior, lambda part, i=i: part[i : i + 1]) for i in range(2))
    assert type(first) is type(posterior)
    assert torch.equal(first.mean, posterior.mean[:1]) and torch.equal(first.log_var, posterior.log_var[:1])
    joined = concatenated([first, second])
    assert type(joined) is type(posterior) and all(map(torch.equal, joined, posterior))


@pytest.mark.parametrize("raw", [-torch.inf, -1e9, -3.0, 0.1, 3.0, 1e8, torch.inf])
def test_clamp_is_exact_and_passes_gradients_through(raw: float) -> None:
    value = torch.tensor(raw, requires_grad=True)
    clamped = clamp(value, -2.0, 2.0)
    assert clamped.item() == torch.tensor(raw).clamp(-2, 2).item()
    if abs(raw) < torch.inf:
        clamped.backward()
        assert value.grad == 1


def test_clamp_keeps_nan() -> None:
    assert clamp(torch.tensor(torch.nan), -2.0, 2.0).isnan()
