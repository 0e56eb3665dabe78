"""Flows against their Jacobians, computed by automatic differentiation."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mnist_vae.models.flows import AffineAutoregressive, AffineCoupling, AffineFlow, alternating_mask
from tests.models.priors.helpers import randomised

CONTEXT, HIDDEN = 3, 7
Layer = Callable[[int, int], nn.Module]


def coupling(latent_dim: int, index: int) -> nn.Module:
    return AffineCoupling(alternating_mask(index, latent_dim), HIDDEN, CONTEXT)


def autoregressive(latent_dim: int, index: int) -> nn.Module:
    return AffineAutoregressive(latent_dim, HIDDEN, CONTEXT, reverse=index % 2 == 1)


def random_flow(layer: Layer, latent_dim: int, layers: int = 3) -> AffineFlow:
    flow = randomised(AffineFlow(layer(latent_dim, index) for index in range(layers)), scale=0.5)
    assert isinstance(flow, AffineFlow)
    return flow


def jacobian(flow: AffineFlow, z: Tensor, context: Tensor) -> Tensor:
    return torch.autograd.functional.jacobian(lambda z: flow(z[None], context[None])[0][0], z)  # type: ignore[no-any-return]


both = pytest.mark.parametrize("layer", [coupling, autoregressive])


@both
@pytest.mark.parametrize("latent_dim", [2, 3, 5])
def test_log_determinant_equals_that_of_the_jacobian(layer: Layer, latent_dim: int) -> None:
    flow = random_flow(layer, latent_dim)
    z, context = torch.randn(4, latent_dim).double(), torch.randn(4, CONTEXT).double()
    for i in range(4):
        expected = torch.linalg.slogdet(jacobian(flow, z[i], context[i])).logabsdet
        torch.testing.assert_close(flow(z, context)[1][i], expected)


@both
@pytest.mark.parametrize("latent_dim", [2, 3, 5])
def test_inverse_inverts_and_has_the_same_log_determinant(layer: Layer, latent_dim: int) -> None:
    flow = random_flow(layer, latent_dim)
    z, context = 2 * torch.randn(6, 4, latent_dim).double(), torch.randn(4, CONTEXT).double()
    y, log_det = flow(z, context)
    assert not torch.allclose(y, z, atol=0.1)
    found, found_log_det = flow.inverse(y, context)
    torch.testing.assert_close(found, z)
    torch.testing.assert_close(found_log_det, log_det)


def all_active(layer: nn.Module) -> nn.Module:
    """Weights with which, at positive inputs, no unit is 0: an output has a gradient where it is connected."""
    for parameter in randomised(layer, scale=0.2).parameters():
        parameter.data.abs_()
    return layer


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("latent_dim", [1, 2, 6])
def test_an_autoregressive_layer_depends_on_the_dimensions_before(latent_dim: int, reverse: bool) -> None:
    layer = all_active(AffineAutoregressive(latent_dim, 20, CONTEXT, reverse))
    z, context = torch.rand(latent_dim).double(), torch.rand(CONTEXT).double()
    for output in range(2):
        found = torch.autograd.functional.jacobian(lambda z, output=output: layer(z, context)[output], z)
        of_context = torch.autograd.functional.jacobian(lambda c, output=output: layer(z, c)[output], context)
        assert (of_context != 0).any(dim=1).all()
        order = torch.ones(latent_dim, latent_dim).tril(-1)
        assert torch.equal(found != 0, (order.T if reverse else order).bool())


def test_hidden_units_fewer_than_dimensions_are_spread_over_all() -> None:
    layer = all_active(AffineAutoregressive(12, 4))
    found = torch.autograd.functional.jacobian(lambda z: layer(z)[1], torch.rand(12).double())
    assert found[-1].nonzero().max() >= 8


@both
def test_the_context_changes_the_flow(layer: Layer) -> None:
    flow, z = random_flow(layer, 4), torch.randn(2, 4).double()
    assert not torch.allclose(*(flow(z, torch.full((2, CONTEXT), value).double())[0] for value in (0.0, 1.0)))


@both
def test_a_new_flow_is_the_identity(layer: Layer) -> None:
    flow = AffineFlow(layer(5, index) for index in range(4))
    z = torch.randn(9, 5)
    y, log_det = flow(z, torch.randn(9, CONTEXT))
    assert torch.equal(y, z) and not log_det.any()


def test_four_masks_in_turn_reach_every_dimension() -> None:
    masks = torch.stack([alternating_mask(i, 6) for i in range(4)])
    assert torch.equal(masks.sum(dim=0), torch.full((6,), 2.0))
    assert torch.equal(masks[0], torch.tensor([1.0, 1, 1, 0, 0, 0]))
