"""Variational autoencoder: encoder, decoder, approximate posterior, prior and likelihood."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnist_vae.models.likelihoods import Likelihood
from mnist_vae.models.networks.base import Network
from mnist_vae.models.posteriors import Diagonal, Ladder, Posterior, PosteriorLayer
from mnist_vae.models.priors import Prior
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.seeding import Noise


class Inference(NamedTuple):
    """Posterior, samples of z and log-likelihoods of a batch, from which objectives are computed.

    Attributes:
        posterior: q(z|x) of each image.
        z: samples of q(z|x), (..., images, latent_dim).
        log_likelihood: log p(x|z) in nats, (..., images).
        log_q: log q(z|x) in nats, (..., images).
    """

    posterior: Posterior
    z: Tensor
    log_likelihood: Tensor
    log_q: Tensor


class VAE(nn.Module):
    """Generative model p(x|z) p(z) with approximate posterior q(z|x): Kingma & Welling (2014); Rezende et al. (2014).

    With `classes` above 0 the VAE is conditional, p(x|z, y) p(z) and q(z|x, y): Sohn et al. (2015), and Kingma et al.
    (2014), model M2. Its methods then require `labels`, int64, one per image (images,) or one for all (); an
    unconditional VAE ignores them.

    Args:
        network: encoder x -> features and decoder z -> likelihood parameters. The decoder of a conditional VAE takes
            z and the one-hot label times sqrt(latent_dim), latent_dim + classes values.
        likelihood: p(x|z), given the decoder's output.
        prior: p(z).
        posterior: layer from features to q(z|x); `Diagonal` if None.
        classes: number of labels to condition on; 0 for none.
    """

    def __init__(
        self,
        network: Network,
        likelihood: Likelihood,
        prior: Prior,
        posterior: PosteriorLayer | None = None,
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
            # Added to the image, so that it works with any encoder: for the first layer it amounts to a bias per class.
            self.label_image = nn.Embedding(classes, math.prod(self.image_shape))
            nn.init.zeros_(self.label_image.weight)
            # As long as a code: next to one, a vector of length 1 is overlooked for many epochs.
            self.label_scale: Tensor
            self.register_buffer("label_scale", torch.tensor(math.sqrt(self.latent_dim)))
            self.register_load_state_dict_pre_hook(_load_label_scale)
        prior.bind(self.encode)

    def use_prior(self, prior: Prior) -> None:
        """Take another p(z), of as many dimensions; encoder and decoder stay as they are."""
        if isinstance(self.to_posterior, Ladder):
            self.to_posterior.keep_prior()
        self.prior = prior
        prior.bind(self.encode)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Posterior:
        """Compute q(z|x), of which all tensors are (images, ...), of images (images, channels, height, width).

        Args:
            x: in [0, 1], or uint8.
            labels: for a conditional VAE, (images,) or ().

        Raises:
            ValueError: the VAE is conditional and `labels` is None.
        """
        x = to_unit(torch.as_tensor(x)).to(self._weight.dtype)
        if self.classes:
            x = x + self.label_image(self._required(labels).to(x.device)).reshape(-1, *self.image_shape).to(x.dtype)
        # In the images' precision: under mixed precision the loss terms must not be summed in half precision.
        return self.to_posterior.posterior(self.encoder(x), x.dtype)

    def decode_parameters(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compute the parameters of p(x|z), such as logits, of codes (..., latent_dim).

        Returns:
            (..., parameters_per_value * channels, height, width).
        """
        flat = z.reshape(-1, z.shape[-1])
        if self.classes:
            expanded = self._required(labels).to(z.device).expand(z.shape[:-1]).reshape(-1)
            flat = torch.cat([flat, F.one_hot(expanded, self.classes).to(z.dtype) * self.label_scale], dim=-1)
        parameters = self.decoder(flat).to(z.dtype)
        return parameters.reshape(*z.shape[:-1], *parameters.shape[1:])

    def decode(self, z: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Compute E[x|z] of codes (..., latent_dim): images (..., channels, height, width) in [0, 1].

        Args:
            generator: for a likelihood whose mean is an estimate, the source of each code's draws; if None, all codes
                have the same fixed draws, so that images differ by their codes alone.
        """
        parameters = self.decode_parameters(z, labels)
        if generator is None:
            return self.likelihood.mean(parameters)
        return self.likelihood.estimate_mean(parameters, generator)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compute E[x|z] at the posterior means of images (images, channels, height, width), in [0, 1] or uint8.

        Returns:
            Images of the same shape in [0, 1], without gradients.
        """
        return self.decode(self.encode(x, labels).mean, labels)

    @torch.no_grad()
    def sample(
        self,
        count: int,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Sample codes from the prior and compute E[x|z]: (count, channels, height, width) in [0, 1]. No gradients.

        Args:
            count: number of samples.
            generator: source of randomness; torch's global generator if None.
            temperature: scale of the prior's standard deviation.
            labels: for a conditional VAE, (count,) or ().
        """
        generator = generator or torch.default_generator
        return self.decode(self.prior.sample(count, generator, temperature).to(self.device), labels, generator)

    def infer(self, x: Tensor, noise: Noise, *samples: int, labels: Tensor | None = None) -> Inference:
        """Encode images x (images, channels, height, width), sample z from q(z|x), and compute log p(x|z).

        Args:
            noise: source of the standard normal draws.
            samples: samples per image, as leading dimensions of z; if omitted, one sample and no leading dimension.
        """
        draws = noise.normal(*samples, self.latent_dim, device=x.device)
        if samples:
            draws = draws.movedim(0, -2)
        return self.infer_from(x, draws, labels)

    def infer_from(self, x: Tensor, draws: Tensor, labels: Tensor | None = None) -> Inference:
        """`infer` from standard normal draws (..., images, latent_dim); the part that `trainer.compile` compiles."""
        posterior = self.encode(x, labels)
        z, log_q = posterior.rsample_and_log_prob(draws)
        z = _between_graphs(z)
        return Inference(posterior, z, self.likelihood.log_prob(self.decode_parameters(z, labels), x), log_q)

    def elbo_terms(self, x: Tensor, noise: Noise, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute both terms of the ELBO in nats per image, each (images,), with one sample of z per image.

        Returns:
            reconstruction: -log p(x|z), z drawn from q(z|x): Kingma & Welling (2014), equation 7.
            kl: KL(q(z|x) || p(z)), in closed form where there is one, else estimated from the same z.
        """
        posterior, z, log_likelihood, log_q = self.infer(x, noise, labels=labels)
        return -log_likelihood, self.prior.kl(posterior, z, log_q)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self._weight.device

    @property
    def _weight(self) -> Tensor:
        return next(self.to_posterior.parameters())

    def count_parameters(self) -> int:
        """Number of parameters."""
        return sum(math.prod(p.shape) for p in self.parameters())

    @staticmethod
    def _required(labels: Tensor | None) -> Tensor:
        if labels is None:
            raise ValueError("this VAE is conditional: labels are required, as in vae.sample(10, labels=range(10))")
        return torch.as_tensor(labels)


@torch.compiler.disable
def _between_graphs(z: Tensor) -> Tensor:
    """Let compiled code end before z and begin anew after it.

    Within one compiled graph, a gradient hook that an objective registers on z would miss the decoder's gradient.
    """
    return z


def _load_label_scale(vae: VAE, weights: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Complete weights that were saved when the one-hot label had the length 1."""
    weights.setdefault(f"{prefix}label_scale", torch.ones(()))
