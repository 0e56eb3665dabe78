import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from mnist_vae.likelihoods import Bernoulli
from mnist_vae.networks.base import Network
from mnist_vae.networks.conv import Conv
from mnist_vae.networks.mlp import MLP
from mnist_vae.noise import Noise
from mnist_vae.priors import StandardNormal
from mnist_vae.vae import VAE

SHAPE = (1, 6, 5)


def small(network: type[Network] = MLP, **sizes) -> VAE:
    torch.manual_seed(0)
    sizes = sizes or ({"hidden_dims": [8]} if network is MLP else {"channels": [4], "hidden_dim": 8})
    return VAE(network(SHAPE, 3, 1, **sizes), Bernoulli(), StandardNormal(3)).eval()


@pytest.mark.parametrize("network", [MLP, Conv])
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


@pytest.mark.parametrize("network", [MLP, Conv])
def test_gradients_of_the_elbo_against_finite_differences(network: type[Network]) -> None:
    vae = small(network).double()
    for module in vae.modules():  # smooth, so that no finite difference steps over a kink
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Tanh())
    x = torch.rand(2, *SHAPE, dtype=torch.float64)
    names, values = zip(*vae.named_parameters(), strict=True)

    def negative_elbo(*weights: Tensor) -> Tensor:
        def terms(module: VAE) -> Tensor:
            return torch.stack(module.elbo_terms(x, Noise(2, generator=torch.Generator().manual_seed(0)))).sum()

        return torch.func.functional_call(
            Terms(vae, terms), {f"vae.{n}": w for n, w in zip(names, weights, strict=True)}, ()
        )

    assert torch.autograd.gradcheck(negative_elbo, values, fast_mode=True)


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
        return -0.5 * ((x - parameters).square() + math.log(2 * math.pi)).flatten(1).sum(1)

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
