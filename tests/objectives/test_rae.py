"""Deterministic autoencoders: the loss and its penalties against closed forms."""

import contextlib
import math

import pytest
import torch
from torch import Tensor, nn

from mnist_vae.models.networks.base import Network
from mnist_vae.models.networks.conv import Conv
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.networks.resnet import ResNet
from mnist_vae.models.posteriors import Constant
from mnist_vae.models.priors import StandardNormal
from mnist_vae.models.vae import VAE
from mnist_vae.objectives import RAE, rae
from mnist_vae.objectives.rae import squared_jacobian
from mnist_vae.utils.seeding import Noise
from tests.models.helpers import SHAPE, LinearNetwork, UnitGaussian, small_vae

WEIGHTS = {"beta": 0.7, "weight_penalty": 0.3, "gradient_penalty": 0.2}


def noise(images: int, seed: int = 1) -> Noise:
    return Noise(images, generator=torch.Generator().manual_seed(seed))


def linear_autoencoder() -> tuple[VAE, Tensor]:
    """Autoencoder x -> Ax + a -> Wz + b of p(x|z) = N(Wz + b, I) with its images, (6, 1, 1, 4)."""
    torch.manual_seed(1)
    vae = VAE(LinearNetwork(), UnitGaussian(), StandardNormal(2), Constant(4, 2)).double()  # type: ignore[arg-type]
    return vae, torch.randn(6, 1, 1, 4, dtype=torch.float64)


def directions() -> Tensor:
    """Those that a loss of `linear_autoencoder` draws for the Jacobian, (6, 4)."""
    drawn = noise(6)
    drawn.normal(2)  # of the ELBO
    return drawn.normal(4).double()


def test_the_loss_of_a_linear_autoencoder_by_hand() -> None:
    vae, x = linear_autoencoder()
    z = x.flatten(1) @ vae.to_posterior.weight.T + vae.to_posterior.bias
    weight, bias = vae.decoder[0].weight, vae.decoder[0].bias
    reconstruction = 0.5 * (x.flatten(1) - z @ weight.T - bias).square().sum(1) + 2 * math.log(2 * math.pi)
    jacobian = (directions() @ weight).square().sum(1)
    expected = reconstruction + 0.35 * z.square().sum(1) + 0.3 * weight.square().sum() + 0.2 * jacobian
    torch.testing.assert_close(RAE(**WEIGHTS)(vae, x, None, 0.0, noise(6)).loss, expected)
    plain = RAE(beta=0.0)
    torch.testing.assert_close(plain(vae, x, None, 0.0, noise(6)).loss, reconstruction)
    assert torch.equal(plain(vae, x, None, 0.0, noise(6, 1)).loss, plain(vae, x, None, 0.0, noise(6, 2)).loss)


@pytest.mark.parametrize("classes", [0, 4])
def test_reconstruction_and_kl_are_those_of_the_elbo(classes: int) -> None:
    vae, x = small_vae(posterior=Constant, classes=classes), torch.rand(5, *SHAPE)
    labels = torch.tensor([3, 0, 1, 2, 2]) if classes else None
    _, *found = RAE(**WEIGHTS)(vae, x, labels, 0.0, noise(5))
    assert not any(term.requires_grad for term in found)
    for one, other in zip(found, vae.elbo_terms(x, noise(5), labels), strict=True):
        torch.testing.assert_close(one, other.detach())


def gradients(vae: VAE, x: Tensor, **weights: float) -> dict[str, Tensor]:
    """Those of the mean loss; the Jacobian of a linear decoder does not depend on the code."""
    vae.zero_grad()
    RAE(beta=0.0, **weights)(vae, x, None, 0.0, noise(len(x))).loss.mean().backward()
    return {name: parameter.grad.clone() for name, parameter in vae.named_parameters() if parameter.grad is not None}


def test_the_gradients_of_the_penalties_are_those_of_their_formulas() -> None:
    vae, x = linear_autoencoder()
    plain, weight = gradients(vae, x), vae.decoder[0].weight.detach()
    v = directions()
    penalties = [({"weight_penalty": 0.3}, 0.6 * weight), ({"gradient_penalty": 0.2}, 0.4 * v.T @ v @ weight / 6)]
    for penalty, expected in penalties:
        found = gradients(vae, x, **penalty)
        torch.testing.assert_close(found.pop("decoder.0.weight"), plain["decoder.0.weight"] + expected)
        for name, gradient in found.items():
            torch.testing.assert_close(gradient, plain[name])


@pytest.mark.parametrize("network", [MLP, Conv, ResNet])
@pytest.mark.parametrize("mode", [contextlib.nullcontext, torch.no_grad, torch.inference_mode])
def test_the_squared_jacobian_is_estimated_by_a_projection(network: type[Network], mode: type) -> None:
    vae = small_vae(network, classes=4)
    with mode():
        z, labels = torch.randn(3, 3), torch.tensor([3, 0, 1])
        found = squared_jacobian(vae, z, labels, noise(3))
        assert found.requires_grad is torch.is_grad_enabled()
    directions = noise(3).normal(*SHAPE).flatten(1)
    for code, label, v, estimate in zip(z.clone(), labels.clone(), directions, found.detach(), strict=True):
        jacobian = torch.func.jacrev(lambda z, label=label: vae.decode_parameters(z, label).flatten())(code)
        torch.testing.assert_close(estimate, (v @ jacobian).square().sum())


def test_the_mean_over_projections_is_the_squared_frobenius_norm() -> None:
    vae, _ = linear_autoencoder()
    found = squared_jacobian(vae, torch.zeros(20_000, 2).double(), None, noise(20_000)).detach()
    assert abs(found.mean() - vae.decoder[0].weight.square().sum()) < 4 * found.std() / len(found) ** 0.5


def test_the_gradient_penalty_reaches_the_weights_of_a_curved_decoder() -> None:
    """By finite differences, with the code as a function of the weights too."""
    vae, x = small_vae(posterior=Constant).double(), torch.rand(3, *SHAPE).double()
    for network in (vae.encoder, vae.decoder):
        for i, part in enumerate(network):
            network[i] = nn.Tanh() if isinstance(part, nn.ReLU) else part
    names, values = zip(*vae.named_parameters(), strict=True)

    def loss(*weights: Tensor) -> Tensor:
        given = {f"vae.{name}": weight for name, weight in zip(names, weights, strict=True)}
        return torch.func.functional_call(Loss(vae, x), given, ())

    assert torch.autograd.gradcheck(loss, values, fast_mode=True)


class Loss(nn.Module):
    """The loss as a function of a VAE's weights."""

    def __init__(self, vae: VAE, x: Tensor) -> None:
        super().__init__()
        self.vae, self.x = vae, x

    def forward(self) -> Tensor:
        return RAE(**WEIGHTS)(self.vae, self.x, None, 0.0, noise(len(self.x))).loss.sum()


def test_penalties_of_weight_zero_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("squared_jacobian", "squared_weights"):
        monkeypatch.delattr(rae, name)
    vae, x = linear_autoencoder()
    assert RAE(beta=1.0)(vae, x, None, 0.0, noise(6)).loss.isfinite().all()


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_a_weight_that_is_no_weight_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be 0 or more, and finite"):
        RAE(**{name: value})
