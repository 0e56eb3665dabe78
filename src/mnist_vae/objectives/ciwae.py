"""Convex combination of the ELBO and an importance-weighted bound."""

import torch
from torch import Tensor

from mnist_vae.models.priors.base import check_counts
from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms
from mnist_vae.objectives.importance_weights import bound, draw, reparameterize_doubly
from mnist_vae.utils.seeding import Noise


class CIWAE:
    """-(elbo_weight * ELBO + (1 - elbo_weight) * IWAE), both of the same k importance samples.

    Rainforth et al. (2018), with elbo_weight = β: 0 is the IWAE, 1 the ELBO with k samples.

    Args:
        k: importance samples.
        elbo_weight: from 0 to 1.
        doubly_reparameterized: use the gradient estimator of Tucker et al. (2019), section 3, for the encoder, with the
            ELBO as its case k = 1.

    Raises:
        ValueError: k is below 1, or elbo_weight not from 0 to 1.
    """

    def __init__(self, k: int, elbo_weight: float, doubly_reparameterized: bool = False) -> None:
        check_counts(k=k)
        if not 0 <= elbo_weight <= 1:
            raise ValueError(f"elbo_weight is {elbo_weight}; it must be from 0 to 1")
        self.k, self.elbo_weight, self.doubly_reparameterized = k, elbo_weight, doubly_reparameterized

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """Compute the terms of images x (images, channels, height, width). Memory is proportional to images * k."""
        doubly = self.doubly_reparameterized and torch.is_grad_enabled()
        samples = draw(vae, x, labels, noise, 1, self.k, without_score=doubly)
        if doubly:
            reparameterize_doubly(samples, self.elbo_weight)
        elbo = samples.log_weight.mean(dim=(0, 1))
        combined = self.elbo_weight * elbo + (1 - self.elbo_weight) * bound(samples.log_weight)
        return Terms(-combined, samples.reconstruction, samples.kl)
