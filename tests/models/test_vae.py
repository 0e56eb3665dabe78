import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from mnist_vae.models.likelihoods import Bernoulli
from mnist_vae.models.networks.base import Network
from mnist_vae.models.networks.conv import Conv
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.networks.resnet import ResNet
from mnist_vae.models.posteriors import Diagonal, FullCovariance
from mnist_vae.models.priors import Prior, StandardNormal
from mnist_vae.models.vae import VAE
from mnist_vae.utils.seeding import Noise

SHAPE = (1, 6, 5)


SIZES: dict[type[Network], dict[str, Any]] = {
    MLP: {"hidden_dims": [8]},
    Conv: {"channels": [4], "hidden_dim": 8},
    ResNet: {"channels": [4], "blocks": [1]},
}


def small(
    network: type[Network] = MLP,
    prior: Prior | None = None,
    posterior: type[Diagonal] | type[FullCovariance] = Diagonal,
    classes: int = 0,
) -> VAE:
    torch.manual_seed(0)
    net = network(SHAPE, 3 + classes, 1, **SIZES[network])
    vae = VAE(net, Bernoulli(), prior or StandardNormal(3), posterior(net.features, 3), classes)
    if classes:
        torch.nn.init.normal_(vae.label_image.weight)  # as if trained
    return vae.eval()


@pytest.mark.parametrize("network", [MLP, Conv, ResNet])
def test_the_notebook_interface(network: type[Network]) -> None:
    vae, x = small(network), torch.rand(7, *SHAPE)
    mean, log_var = vae.encode(x)
    assert mean.shape == log_var.shape == (7, 3)
    for images, count in ((vae.decode(mean), 7), (vae.reconstruct(x), 7), (vae.sample(4), 4)):
        assert images.shape == (count, *SHAPE)
        assert images.min() >= 0 and images.max() <= 1
    assert torch.equal(vae.reconstruct(x), vae.decode(mean))
    assert vae.count_parameters() == sum(p.numel() for p in vae.parameters())


def test_samples_follow_their_generator() -> None:
    vae = small()
    one, two = (vae.sample(3, torch.Generator().manual_seed(9)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, vae.sample(3, torch.Generator().manual_seed(10)))


@pytest.mark.parametrize("network", [MLP, Conv, ResNet])
def test_gradients_of_the_elbo_against_finite_differences(network: type[Network]) -> None:
    vae = small(network).double()
    for module in vae.modules():  # smooth, so that no finite difference steps over a kink
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Tanh())
            if isinstance(child, nn.Conv2d):
                nn.init.normal_(child.weight, std=0.3)  # a residual block starts as the identity
    x = torch.rand(2, *SHAPE, dtype=torch.float64)
    names, values = zip(*vae.named_parameters(), strict=True)

    def negative_elbo(*weights: Tensor) -> Tensor:
        def terms(module: VAE) -> Tensor:
            return torch.stack(module.elbo_terms(x, Noise(2, generator=torch.Generator().manual_seed(0)))).sum()

        return torch.func.functional_call(
            Terms(vae, terms), {f"vae.{n}": w for n, w in zip(names, weights, strict=True)}, ()
        )

    assert torch.autograd.gradcheck(negative_elbo, values, fast_mode=True)


@pytest.mark.parametrize("posterior", [Diagonal, FullCovariance])
def test_leading_dimensions_are_samples(posterior: Any) -> None:
    vae, x = small(posterior=posterior, classes=4), torch.rand(5, *SHAPE)
    labels = torch.tensor([3, 0, 1, 2, 2])
    inference = vae.infer(x, Noise(5, generator=torch.Generator().manual_seed(0)), 2, 6, labels=labels)
    assert inference.z.shape == (2, 6, 5, 3) and inference.log_likelihood.shape == (2, 6, 5)
    assert vae.decode(inference.z, labels).shape == (2, 6, 5, *SHAPE)
    alone = vae.likelihood.log_prob(vae.decode_parameters(inference.z[1, 4], labels), x)
    torch.testing.assert_close(inference.log_likelihood[1, 4], alone)


def test_a_conditional_vae_depends_on_its_labels() -> None:
    vae, x, z = small(classes=4), torch.rand(2, *SHAPE), torch.randn(2, 3)
    one, other = torch.tensor([0, 1]), torch.tensor([0, 2])
    for function in (lambda labels: vae.encode(x, labels).mean, lambda labels: vae.decode(z, labels)):
        first, second = function(one), function(other)
        torch.testing.assert_close(first[0], second[0])
        assert not torch.allclose(first[1], second[1], atol=1e-3)


def test_a_conditional_vae_needs_labels_and_another_ignores_them() -> None:
    with pytest.raises(ValueError, match="it needs labels"):
        small(classes=4).sample(2)
    plain, x = small(), torch.rand(2, *SHAPE)
    assert torch.equal(plain.reconstruct(x), plain.reconstruct(x, torch.tensor([0, 1])))


class Terms(nn.Module):
    """Lets functional_call run something else than a forward pass."""

    def __init__(self, vae: VAE, function) -> None:
        super().__init__()
        self.vae, self.function = vae, function

    def forward(self) -> Tensor:
        return self.function(self.vae)


class UnitGaussian(nn.Module):
    """p(x|z) = N(x; parameters, I): with a linear decoder, log p(x) is known exactly."""

    parameters_per_value = 1

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        return -0.5 * ((x - parameters).square() + math.log(2 * math.pi)).flatten(-3).sum(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters


class Linear(Network):
    """x -> W'x and z -> Wz + b."""

    def __init__(self) -> None:
        super().__init__((1, 1, 4), 2, 1)
        self.features = 4
        self.encoder = nn.Flatten()
        self.decoder = nn.Sequential(nn.Linear(2, 4), nn.Unflatten(1, (1, 1, 4)))


def linear_gaussian(tight: bool) -> tuple[VAE, Tensor, Tensor]:
    """A linear-Gaussian VAE, with the exact posterior or a random one, images, and their exact log p(x)."""
    torch.manual_seed(1)
    vae = VAE(Linear(), UnitGaussian(), StandardNormal(2)).double()  # type: ignore[arg-type]
    with torch.no_grad():
        # Orthogonal columns make the exact posterior's covariance diagonal: (I + W'W)^-1.
        W = torch.linalg.qr(torch.randn(4, 2, dtype=torch.float64)).Q * torch.tensor([1.5, 0.7], dtype=torch.float64)
        b = torch.randn(4, dtype=torch.float64)
        vae.decoder[0].weight.copy_(W)
        vae.decoder[0].bias.copy_(b)
        if tight:
            variance = 1 / (1 + W.square().sum(0))
            to_mean = variance[:, None] * W.T
            vae.to_posterior.weight.copy_(torch.cat([to_mean, torch.zeros(2, 4)]))
            vae.to_posterior.bias.copy_(torch.cat([-to_mean @ b, variance.log()]))
    x = torch.randn(6, 1, 1, 4, dtype=torch.float64)
    exact = MultivariateNormal(b, W @ W.T + torch.eye(4, dtype=torch.float64)).log_prob(x.flatten(1))
    return vae, x, exact


def mean_elbo(vae: VAE, x: Tensor, draws: int = 20_000) -> tuple[Tensor, Tensor]:
    """The ELBO of each image over many draws, and its standard error."""
    many = x.repeat_interleave(draws, dim=0)
    with torch.no_grad():
        reconstruction, kl = vae.elbo_terms(many, Noise(len(many), generator=torch.Generator().manual_seed(0)))
    elbo = -(reconstruction + kl).reshape(len(x), draws)
    return elbo.mean(1), elbo.std(1) / draws**0.5


def test_the_elbo_is_below_the_exact_log_likelihood() -> None:
    vae, x, exact = linear_gaussian(tight=False)
    elbo, error = mean_elbo(vae, x)
    assert (elbo + 4 * error < exact).all()


def test_the_elbo_of_the_exact_posterior_is_the_log_likelihood() -> None:
    vae, x, exact = linear_gaussian(tight=True)
    elbo, error = mean_elbo(vae, x)
    assert ((elbo - exact).abs() < 4 * error).all()
    assert (error < 0.02).all()
