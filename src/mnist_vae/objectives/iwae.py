"""Importance-weighted bounds, from the ELBO to IWAE and MIWAE."""

import math

import torch
from torch import Tensor

from mnist_vae.models.posteriors import mapped
from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms
from mnist_vae.utils.seeding import Noise


class IWAE:
    """The mean of m negative bounds -log 1/k Σ p(x, z_i)/q(z_i|x) of k importance samples each.

    k = 1 is the ELBO (of m samples), m = 1 is Burda et al. (2016), equation 8, both above 1 is MIWAE: Rainforth et al.
    (2018), section 4.

    Args:
        k: importance samples in a bound.
        m: bounds averaged.
        doubly_reparameterized: take the encoder's gradient by Tucker et al. (2019), section 3. It has the same mean
            and less variance, above all for large k.

    Raises:
        ValueError: k or m below 1.
    """

    def __init__(self, k: int, m: int = 1, doubly_reparameterized: bool = False) -> None:
        for name, value in (("k", k), ("m", m)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be 1 or more")
        self.k, self.m, self.doubly_reparameterized = k, m, doubly_reparameterized

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """The terms for images x (n, channels, height, width). Memory grows with m * k."""
        posterior, z, log_likelihood = vae.infer(x, noise, self.m, self.k, labels=labels)
        doubly = self.doubly_reparameterized and torch.is_grad_enabled()
        # Without the score of q, whose mean in Tucker et al.'s form is nought, q's parameters act through z alone.
        log_q = (mapped(posterior, Tensor.detach) if doubly else posterior).log_prob(z)
        log_weight = log_likelihood + vae.prior.log_prob(z) - log_q
        if doubly:
            # The gradient that reaches z is weighted by w already, and the path through z is to have w squared.
            weight = log_weight.detach().softmax(dim=1).unsqueeze(-1)
            z.register_hook(lambda gradient: gradient * weight)
        loss = math.log(self.k) - log_weight.logsumexp(dim=1).mean(dim=0)
        with torch.no_grad():
            kl = vae.prior.kl(posterior, z).expand_as(log_weight).mean(dim=(0, 1))
        return Terms(loss, -log_likelihood.detach().mean(dim=(0, 1)), kl)
