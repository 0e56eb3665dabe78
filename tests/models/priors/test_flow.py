import pytest
import torch

from mnist_vae.models.priors import Flow, StandardNormal
from tests.models.priors.helpers import random_flow


def test_log_prob_is_computed_in_full_precision_under_mixed_precision() -> None:
    flow, z = random_flow(4).float(), torch.randn(9, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = flow.log_prob(z)
    base, log_det = flow(z)
    torch.testing.assert_close(half, StandardNormal(4).log_prob(base) + log_det, rtol=0, atol=1e-5)


def test_temperature_scales_the_base_distribution() -> None:
    flow = random_flow(3)
    one, warm = (flow(flow.sample(40, torch.Generator().manual_seed(0), t))[0] for t in (1.0, 2.0))
    torch.testing.assert_close(warm, 2 * one)


@pytest.mark.parametrize("latent_dim", [2, 3, 6])
def test_log_determinant_equals_that_of_the_jacobian(latent_dim: int) -> None:
    flow = random_flow(latent_dim)
    for z in torch.randn(5, latent_dim, dtype=torch.float64):
        jacobian = torch.autograd.functional.jacobian(lambda z: flow(z)[0], z)
        torch.testing.assert_close(flow(z)[1], torch.linalg.slogdet(jacobian).logabsdet)


@pytest.mark.parametrize("latent_dim", [2, 3, 6])
def test_inverse_inverts_the_flow(latent_dim: int) -> None:
    flow, z = random_flow(latent_dim), 3 * torch.randn(50, latent_dim, dtype=torch.float64)
    assert not torch.allclose(flow(z)[0], z, atol=0.1)
    torch.testing.assert_close(flow.inverse(flow(z)[0]), z)


def test_every_output_depends_on_every_input() -> None:
    flow = random_flow(6)
    jacobian = torch.autograd.functional.jacobian(lambda z: flow(z)[0], torch.randn(6, dtype=torch.float64))
    assert (jacobian != 0).all()


@pytest.mark.parametrize("layers", [1, 4, 5])
def test_a_new_flow_is_the_standard_normal(layers: int) -> None:
    flow, z = Flow(5, layers=layers, hidden_dim=4), torch.randn(9, 5)
    assert torch.equal(flow(z)[0], z)
    torch.testing.assert_close(flow.log_prob(z), StandardNormal(5).log_prob(z))
    draws = (prior.sample(9, torch.Generator().manual_seed(0)) for prior in (flow, StandardNormal(5)))
    torch.testing.assert_close(*draws)
