"""Priors with random parameters, shared by the tests of priors."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from mnist_vae.models.likelihoods import Bernoulli
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.posteriors import Diagonal, FullCovariance, FullGaussian, Posterior
from mnist_vae.models.priors import Flow, Mixture, Prior, VampPrior
from mnist_vae.models.vae import VAE

IMAGE_SHAPE = (1, 4, 4)


def randomised(module: nn.Module, scale: float = 0.4) -> nn.Module:
    """Replace every parameter by random values in float64, so that no initial value is special."""
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        parameter.data = scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return module.double()


def vae_with_prior(prior: Prior, family: type[nn.Module] = Diagonal) -> VAE:
    """Small VAE with this prior and this posterior layer."""
    network = MLP(IMAGE_SHAPE, prior.latent_dim, parameters_per_value=1, hidden_dims=[6])
    return VAE(network, Bernoulli(), prior, family(6, prior.latent_dim))


def random_mixture(latent_dim: int) -> Prior:
    prior = randomised(Mixture(latent_dim, components=5))
    prior.means.data *= 4
    return prior


def random_full_mixture(latent_dim: int) -> Prior:
    prior = randomised(Mixture(latent_dim, components=5, covariance="full"))
    prior.means.data *= 4
    return prior


def random_vamp(latent_dim: int, family: type[nn.Module] = Diagonal) -> Prior:
    prior = VampPrior(latent_dim, IMAGE_SHAPE, components=5)
    randomised(vae_with_prior(prior, family))
    prior.unbounded.data = torch.rand(5, *IMAGE_SHAPE, dtype=torch.float64)
    return prior


def random_full_vamp(latent_dim: int) -> Prior:
    return random_vamp(latent_dim, FullCovariance)


def random_flow(latent_dim: int) -> Prior:
    return randomised(Flow(latent_dim, layers=5, hidden_dim=8), scale=0.3)


MIXTURES = [random_mixture, random_full_mixture, random_vamp, random_full_vamp]
LEARNED = [*MIXTURES, random_flow]
Build = Callable[[int], Prior]


def vamp_of(posterior: Posterior) -> VampPrior:
    """VampPrior whose components are these Gaussians."""
    prior = VampPrior(posterior.mean.shape[1], IMAGE_SHAPE, components=len(posterior.mean))
    prior.bind(lambda images: posterior)
    return prior


def torch_mixture(gaussians: Posterior, logits: Tensor) -> MixtureSameFamily:
    """Mixture of these Gaussians by torch.distributions."""
    if isinstance(gaussians, FullGaussian):
        return MixtureSameFamily(Categorical(logits=logits), MultivariateNormal(gaussians[0], scale_tril=gaussians[1]))
    mean, log_var = gaussians
    return MixtureSameFamily(Categorical(logits=logits), Independent(Normal(mean, (0.5 * log_var).exp()), 1))
