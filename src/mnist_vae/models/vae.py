"""The variational autoencoder: two networks, a posterior, a prior and a likelihood."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnist_vae.models.likelihoods import Likelihood
from mnist_vae.models.networks.base import Network
from mnist_vae.models.posteriors import Diagonal, FullCovariance, Posterior
from mnist_vae.models.priors import Prior
from mnist_vae.utils.seeding import Noise


class Inference(NamedTuple):
    """What an objective is made of.

    Attributes:
        posterior: q(z|x) of each image.
        z: draws from it, (..., images, latent_dim).
        log_likelihood: log p(x|z) in nats, (..., images).
    """

    posterior: Posterior
    z: Tensor
    log_likelihood: Tensor


class VAE(nn.Module):
    """p(x|z) p(z) with the approximate posterior q(z|x). Kingma & Welling (2014); Rezende et al. (2014).

    With `classes` it is conditional, p(x|z, y) p(z) and q(z|x, y): Sohn et al. (2015), and Kingma et al. (2014),
    model M2. Its methods then need `labels`, int64, one per image (images,) or one for all (); an unconditional VAE
    ignores them.

    Args:
        network: the encoder x -> features and the decoder z -> likelihood parameters; of a conditional VAE the
            decoder's codes are z and the label, latent_dim + classes values.
        likelihood: what the decoder's output means.
        prior: p(z).
        posterior: the layer from features to q(z|x); a diagonal Gaussian's if None.
        classes: number of labels to condition on; 0 for none.
    """

    def __init__(
        self,
        network: Network,
        likelihood: Likelihood,
        prior: Prior,
        posterior: Diagonal | FullCovariance | None = None,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = network.encoder, network.decoder
        self.image_shape, self.latent_dim = network.image_shape, prior.latent_dim
        self.to_posterior = posterior or Diagonal(network.features, prior.latent_dim)
        self.likelihood = likelihood
        self.prior = prior
        self.classes = classes
        if classes:
            # Added to the image, so that any encoder sees the label: in its first layer it is a bias per class.
            self.label_image = nn.Embedding(classes, math.prod(self.image_shape))
            nn.init.zeros_(self.label_image.weight)
        prior.bind(self.encode)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """q(z|x), its tensors having the images first, of images (n, channels, height, width) in [0, 1]."""
        if self.classes:
            x = x + self.label_image(self._required(labels).to(x.device)).reshape(-1, *self.image_shape).to(x.dtype)
        # Back to the images' precision: under mixed precision, terms summed in half precision would be useless.
        return self.to_posterior.posterior(self.encoder(x), x.dtype)

    def decode_parameters(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The parameters of p(x|z): codes (..., latent_dim) give (..., channels, height, width), such as logits."""
        flat = z.reshape(-1, z.shape[-1])
        if self.classes:
            expanded = self._required(labels).to(z.device).expand(z.shape[:-1]).reshape(-1)
            flat = torch.cat([flat, F.one_hot(expanded, self.classes).to(z.dtype)], dim=-1)
        parameters = self.decoder(flat).to(z.dtype)
        return parameters.reshape(*z.shape[:-1], *parameters.shape[1:])

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """E[x|z]: codes (..., latent_dim) give images (..., channels, height, width) in [0, 1]."""
        return self.likelihood.mean(self.decode_parameters(z, labels))

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """E[x|z] at the posterior means of images (n, channels, height, width), of their shape."""
        return self.decode(self.encode(x, labels).mean, labels)

    def sample(
        self,
        count: int,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        labels: Tensor | None = None,
    ) -> Tensor:
        """E[x|z] for `count` codes drawn from the prior, (count, channels, height, width) in [0, 1].

        Args:
            generator: source of the codes; torch's global one if None.
            temperature: scale of the prior's standard deviation.
        """
        return self.decode(self.prior.sample(count, generator, temperature).to(self.device), labels)

    def infer(self, x: Tensor, noise: Noise, *samples: int, labels: Tensor | None = None) -> Inference:
        """The posterior of images x (images, channels, height, width), draws of z and the likelihood there.

        Args:
            samples: draws per image, as leading dimensions; one draw without any if there are none.
        """
        posterior = self.encode(x, labels)
        draws = noise.normal(*samples, self.latent_dim, device=x.device)
        if samples:
            draws = draws.movedim(0, -2)
        z = posterior.rsample(draws)
        return Inference(posterior, z, self.likelihood.log_prob(self.decode_parameters(z, labels), x))

    def elbo_terms(self, x: Tensor, noise: Noise, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The two terms of the ELBO in nats per image, each (images,), with one draw of z per image.

        Returns:
            reconstruction: -log p(x|z), z drawn from q(z|x): Kingma & Welling (2014), equation 7.
            kl: KL(q(z|x) || p(z)), in closed form where there is one, else estimated by the same draw.
        """
        posterior, z, log_likelihood = self.infer(x, noise, labels=labels)
        return -log_likelihood, self.prior.kl(posterior, z)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.to_posterior.weight.device

    def count_parameters(self) -> int:
        """Numbers that training adjusts."""
        return sum(math.prod(p.shape) for p in self.parameters() if p.requires_grad)

    @staticmethod
    def _required(labels: Tensor | None) -> Tensor:
        if labels is None:
            raise ValueError("this VAE is conditional: it needs labels, as in vae.decode(z, labels)")
        return labels
