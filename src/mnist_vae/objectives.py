"""What is minimised. An objective is a callable (vae, x, epoch, noise) -> Terms. One with a schedule may also have
`in_force(epoch)`, which names the values to log."""

import math
from typing import NamedTuple

from torch import Tensor

from mnist_vae.noise import Noise
from mnist_vae.vae import VAE


class Terms(NamedTuple):
    """Nats per image, each (images,). `loss` is what is minimised; the other two are those of the plain ELBO,
    whatever the objective, so that `elbo = -(reconstruction + kl)` compares runs."""

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


class ELBO:
    """The negative evidence lower bound: reconstruction + beta * KL.

    Kingma & Welling (2014), equation 3, for beta = 1; Higgins et al. (2017), equation 4, otherwise.

    Args:
        beta: weight of the KL term, at least 0.
        warmup_epochs: beta rises linearly from 0 to its value over these epochs, step by step; 0 for none.
            Bowman et al. (2016), section 3.1; Sønderby et al. (2016).

    Raises:
        ValueError: an argument is negative, infinite or NaN.
    """

    def __init__(self, beta: float = 1.0, warmup_epochs: float = 0.0) -> None:
        if not 0 <= beta < math.inf:
            raise ValueError(f"beta is {beta}; it must be 0 or more, and finite")
        if not 0 <= warmup_epochs < math.inf:
            raise ValueError(f"warmup_epochs is {warmup_epochs}; it must be 0 or more, and finite")
        self.beta = beta
        self.warmup_epochs = warmup_epochs

    def beta_at(self, epoch: float) -> float:
        """The weight of the KL term after `epoch` epochs (fractions count)."""
        if epoch >= self.warmup_epochs:
            return self.beta
        return self.beta * epoch / self.warmup_epochs

    def in_force(self, epoch: float) -> dict[str, float]:
        """What is logged of the schedule, by name."""
        return {"beta": self.beta_at(epoch)}

    def __call__(self, vae: VAE, x: Tensor, epoch: float, noise: Noise) -> Terms:
        """The terms for images x (n, channels, height, width) after `epoch` epochs of training."""
        reconstruction, kl = vae.elbo_terms(x, noise)
        return Terms(reconstruction + self.beta_at(epoch) * kl, reconstruction, kl)
