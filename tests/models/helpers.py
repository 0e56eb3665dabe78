"""Small VAEs, posteriors and data shared by tests of several packages."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from mnist_vae.models.likelihoods import Bernoulli
from mnist_vae.models.networks.base import Network
from mnist_vae.models.networks.conv import Conv
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.networks.resnet import ResNet
from mnist_vae.models.posteriors import Constant, Diagonal, FullCovariance, FullGaussian
from mnist_vae.models.priors import Prior, StandardNormal
from mnist_vae.models.vae import VAE

SHAPE = (1, 6, 5)

SIZES: dict[type[Network], dict[str, Any]] = {
    MLP: {"hidden_dims": [8]},
    Conv: {"channels": [4], "hidden_dim": 8},
    ResNet: {"channels": [4], "blocks": [1]},
}


def small_vae(
    network: type[Network] = MLP,
    prior: Prior | None = None,
    posterior: type[Constant] | type[Diagonal] | type[FullCovariance] = Diagonal,
    classes: int = 0,
) -> VAE:
    """VAE of a few units for images of SHAPE with three latent dimensions, in evaluation mode."""
    torch.manual_seed(0)
    net = network(SHAPE, 3 + classes, 1, **SIZES[network])
    vae = VAE(net, Bernoulli(), prior or StandardNormal(3), posterior(net.features, 3), classes)
    if classes:
        torch.nn.init.normal_(vae.label_image.weight)  # as if trained
    return vae.eval()


class UnitGaussian(nn.Module):
    """Likelihood p(x|z) = N(x; parameters, I), with which log p(x) of a linear decoder has a closed form."""

    parameters_per_value = 1

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        return -0.5 * ((x - parameters).square() + math.log(2 * math.pi)).flatten(-3).sum(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters


class LinearNetwork(Network):
    """Encoder x -> x, decoder z -> Wz + b."""

    def __init__(self) -> None:
        super().__init__((1, 1, 4), 2, 1)
        self.features = 4
        self.encoder = nn.Flatten()
        self.decoder = nn.Sequential(nn.Linear(2, 4), nn.Unflatten(1, (1, 1, 4)))


def linear_gaussian_vae(tight: bool) -> tuple[VAE, Tensor, Tensor]:
    """Linear-Gaussian VAE with the exact posterior (`tight`) or a random one, images, and their exact log p(x)."""
    torch.manual_seed(1)
    vae = VAE(LinearNetwork(), UnitGaussian(), StandardNormal(2)).double()  # type: ignore[arg-type]
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


def full_gaussian(images: int = 5, latent_dim: int = 3, seed: int = 0) -> FullGaussian:
    """Full Gaussian with random parameters, in float64."""
    torch.manual_seed(seed)
    return FullCovariance(4, latent_dim).double().posterior(2 * torch.randn(images, 4).double(), torch.float64)


def random_split(labels: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Random uint8 images (n, *SHAPE) with these labels (n,)."""
    images = torch.randint(0, 256, (len(labels), *SHAPE), generator=torch.Generator().manual_seed(0))
    return images.to(torch.uint8), torch.tensor(labels)
