"""Importance-weighted samples of q(z|x), and the bound that they give; shared by IWAE, CIWAE and PIWAE."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mnist_vae.models.posteriors import detached
from mnist_vae.models.priors import Prior
from mnist_vae.models.vae import VAE
from mnist_vae.utils.seeding import Noise


class Samples(NamedTuple):
    """Samples z of q(z|x), m groups of k for each image, in nats where not codes.

    Attributes:
        z: (m, k, images, latent_dim).
        log_joint: log p(x|z) + log p(z), (m, k, images).
        log_q: log q(z|x), (m, k, images).
        reconstruction, kl: the terms of the plain ELBO, averaged over samples, (images,), without gradients.
    """

    z: Tensor
    log_joint: Tensor
    log_q: Tensor
    reconstruction: Tensor
    kl: Tensor

    @property
    def log_weight(self) -> Tensor:
        """log p(x, z)/q(z|x), (m, k, images)."""
        return self.log_joint - self.log_q


def draw(
    vae: VAE,
    x: Tensor,
    labels: Tensor | None,
    noise: Noise,
    m: int,
    k: int,
    without_score: bool = False,
    prior: Prior | None = None,
) -> Samples:
    """Draw m * k samples for each of the images x (images, channels, height, width).

    Args:
        without_score: leave the parameters of q in log q(z|x) without a gradient, so that they act through z alone.
        prior: p(z) of the weights; the VAE's if None.
    """
    posterior, z, log_likelihood, log_q = vae.infer(x, noise, m, k, labels=labels)
    if without_score:
        log_q = detached(posterior).log_prob(z)
    log_joint = log_likelihood + (prior or vae.prior).log_prob(z)
    with torch.no_grad():
        kl = vae.prior.kl(posterior, z, log_q).expand_as(log_q).mean(dim=(0, 1))
    return Samples(z, log_joint, log_q, -log_likelihood.detach().mean(dim=(0, 1)), kl)


def bound(log_weight: Tensor) -> Tensor:
    """Mean over m of log 1/k Σ w, in nats, (images,), of log-weights (m, k, images).

    k = 1 is the ELBO, m = 1 the IWAE: Burda et al. (2016), equation 8; both above 1 the MIWAE: Rainforth et al.
    (2018).
    """
    return log_weight.logsumexp(dim=1).mean(dim=0) - math.log(log_weight.shape[1])


def reparameterize_doubly(samples: Samples, elbo_weight: float = 0.0) -> None:
    """Give `elbo_weight` * ELBO + (1 - elbo_weight) * `bound` the encoder's gradient of Tucker et al. (2019).

    Section 3 there. The samples must be drawn `without_score`: the expectation of the score function of q is 0 in this
    estimator. At z the gradient of the bound then has the normalised weight w of a sample as a factor, and the
    estimator has w²; that of the ELBO has 1/k in both.
    """
    log_weight = samples.log_weight.detach()
    weight = (1 - elbo_weight) * log_weight.softmax(dim=1)
    of_elbo = elbo_weight / log_weight.shape[1]
    # The smallest number stands for a weight of 0, which has no gradient.
    total = (weight + of_elbo).clamp(min=torch.finfo(weight.dtype).tiny)
    factor = (weight * log_weight.softmax(dim=1) + of_elbo) / total
    samples.z.register_hook(lambda gradient: gradient * factor.unsqueeze(-1))
