"""Importance-weighted bounds: IWAE and MIWAE."""

import math

import torch
from torch import Tensor

from mnist_vae.models.posteriors import detached
from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms
from mnist_vae.utils.seeding import Noise


class IWAE:
    """Mean of m negative bounds -log 1/k Σ p(x, z_i)/q(z_i|x), each of k importance samples.

    k = 1 is the ELBO with m samples, m = 1 the IWAE: Burda et al. (2016), equation 8; both above 1 the MIWAE:
    Rainforth et al. (2018), section 4.

    Args:
        k: importance samples per bound.
        m: number of bounds that are averaged.
        doubly_reparameterized: use the gradient estimator of Tucker et al. (2019), section 3, for the encoder. It has
            the same mean and less variance, especially for large k.

    Raises:
        ValueError: k or m below 1.
    """

    def __init__(self, k: int, m: int = 1, doubly_reparameterized: bool = False) -> None:
        for name, value in (("k", k), ("m", m)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be 1 or more")
        self.k, self.m, self.doubly_reparameterized = k, m, doubly_reparameterized

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """Compute the terms of images x (images, channels, height, width). Memory is proportional to images * m * k."""
        posterior, z, log_likelihood, log_q = vae.infer(x, noise, self.m, self.k, labels=labels)
        doubly = self.doubly_reparameterized and torch.is_grad_enabled()
        if doubly:
            # Without the score function of q, whose expectation is 0 in this estimator: q's parameters act through z.
            log_q = detached(posterior).log_prob(z)
        log_weight = log_likelihood + vae.prior.log_prob(z) - log_q
        if doubly:
            # The gradient at z already has the normalised weight w as a factor; the estimator has w² on this path.
            weight = log_weight.detach().softmax(dim=1).unsqueeze(-1)
            z.register_hook(lambda gradient: gradient * weight)
        loss = math.log(self.k) - log_weight.logsumexp(dim=1).mean(dim=0)
        with torch.no_grad():
            kl = vae.prior.kl(posterior, z, log_q).expand_as(log_weight).mean(dim=(0, 1))
        return Terms(loss, -log_likelihood.detach().mean(dim=(0, 1)), kl)
