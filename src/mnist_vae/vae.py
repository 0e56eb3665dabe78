"""The variational autoencoder: two networks, a posterior, a prior and a likelihood."""

import math

import torch
from torch import Tensor, nn

from mnist_vae.likelihoods import Bernoulli
from mnist_vae.networks.base import Network
from mnist_vae.noise import Noise
from mnist_vae.posteriors import DiagonalGaussian
from mnist_vae.priors import StandardNormal


class VAE(nn.Module):
    """p(x|z) p(z) with the approximate posterior q(z|x). Kingma & Welling (2014); Rezende et al. (2014).

    Args:
        network: the encoder x -> features and the decoder z -> likelihood parameters.
        likelihood: what the decoder's output means.
        prior: p(z).
    """

    def __init__(self, network: Network, likelihood: Bernoulli, prior: StandardNormal) -> None:
        super().__init__()
        self.encoder, self.decoder = network.encoder, network.decoder
        self.image_shape, self.latent_dim = network.image_shape, network.latent_dim
        self.to_posterior = nn.Linear(network.features, 2 * network.latent_dim)
        self.likelihood = likelihood
        self.prior = prior

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """q(z|x). Images (n, channels, height, width) in [0, 1] give `mean, log_var`, each (n, latent_dim)."""
        # Back to the images' precision: under mixed precision, terms summed in half precision would be useless.
        return DiagonalGaussian.from_parameters(self.to_posterior(self.encoder(x)).to(x.dtype))

    def decode_parameters(self, z: Tensor) -> Tensor:
        """The parameters of p(x|z): codes (n, latent_dim) give (n, channels, height, width) logits."""
        return self.decoder(z).to(z.dtype)

    def decode(self, z: Tensor) -> Tensor:
        """E[x|z]: codes (n, latent_dim) give images (n, channels, height, width) in [0, 1]."""
        return self.likelihood.mean(self.decode_parameters(z))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Images (n, channels, height, width), encoded to their posterior means and decoded again."""
        return self.decode(self.encode(x).mean)

    def sample(self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        """E[x|z] for `count` codes drawn from the prior, (count, channels, height, width) in [0, 1].

        Args:
            generator: source of the codes; torch's global one if None.
            temperature: scale of the prior's standard deviation.
        """
        return self.decode(self.prior.sample(count, generator, temperature).to(self.device))

    def elbo_terms(self, x: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """The two terms of the ELBO in nats per image, each (images,), with one draw of z per image.

        Returns:
            reconstruction: -log p(x|z), z drawn from q(z|x): Kingma & Welling (2014), equation 7.
            kl: KL(q(z|x) || p(z)).
        """
        posterior = self.encode(x)
        z = posterior.rsample(noise.normal(self.latent_dim, device=x.device))
        return -self.likelihood.log_prob(self.decode_parameters(z), x), self.prior.kl(posterior)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.to_posterior.weight.device

    def count_parameters(self) -> int:
        """Numbers that training adjusts."""
        return sum(math.prod(p.shape) for p in self.parameters() if p.requires_grad)
