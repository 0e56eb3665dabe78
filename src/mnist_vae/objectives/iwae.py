"""Importance-weighted bounds: IWAE and MIWAE."""

import torch
from torch import Tensor

from mnist_vae.models.priors.base import check_counts
from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms
from mnist_vae.objectives.importance_weights import bound, draw, reparameterize_doubly
from mnist_vae.utils.seeding import Noise


class IWAE:
    """Mean of m negative bounds -log 1/k Σ p(x, z_i)/q(z_i|x), each of k importance samples.

    k = 1 is the ELBO with m samples, m = 1 the IWAE: Burda et al. (2016), equation 8; both above 1 the MIWAE:
    Rainforth et al. (2018).

    Args:
        k: importance samples per bound.
        m: number of bounds that are averaged.
        doubly_reparameterized: use the gradient estimator of Tucker et al. (2019), section 3, for the encoder. It has
            the same mean and less variance, especially for large k.

    Raises:
        ValueError: k or m below 1.
    """

    def __init__(self, k: int, m: int = 1, doubly_reparameterized: bool = False) -> None:
        check_counts(k=k, m=m)
        self.k, self.m, self.doubly_reparameterized = k, m, doubly_reparameterized

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """Compute the terms of images x (images, channels, height, width). Memory is proportional to images * m * k."""
        doubly = self.doubly_reparameterized and torch.is_grad_enabled()
        samples = draw(vae, x, labels, noise, self.m, self.k, without_score=doubly)
        if doubly:
            reparameterize_doubly(samples)
        return Terms(-bound(samples.log_weight), samples.reconstruction, samples.kl)
