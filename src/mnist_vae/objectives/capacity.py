"""Capacity-controlled KL term."""

import math

from torch import Tensor

from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms, check_numbers
from mnist_vae.utils.seeding import Noise


class Capacity:
    """Reconstruction + gamma * |KL - C|, with C increasing linearly from 0: Burgess et al. (2018), equation 8.

    Args:
        capacity: final value of C in nats.
        gamma: weight of |KL - C|.
        rise_epochs: number of epochs over which C increases, step by step; 0 for a constant C.

    Raises:
        ValueError: an argument is negative, infinite or NaN.
    """

    requires_full_batch = True

    def __init__(self, capacity: float, gamma: float, rise_epochs: float) -> None:
        check_numbers(capacity=capacity, gamma=gamma, rise_epochs=rise_epochs)
        self.capacity, self.gamma, self.rise_epochs = capacity, gamma, rise_epochs

    def capacity_at(self, epoch: float) -> float:
        """C in nats after `epoch` epochs, which may be fractional."""
        return self.capacity * min(1.0, epoch / self.rise_epochs if self.rise_epochs else math.inf)

    def schedule_values(self, epoch: float) -> dict[str, float]:
        """Current value of C, by name, for logging."""
        return {"capacity": self.capacity_at(epoch)}

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """Compute the terms of images x (images, channels, height, width) after `epoch` epochs of training."""
        reconstruction, kl = vae.elbo_terms(x, noise, labels)
        # Of the batch mean, as in the paper: C constrains the mean KL, not that of each image.
        distance = (kl.mean() - self.capacity_at(epoch)).abs()
        return Terms(reconstruction + self.gamma * distance, reconstruction, kl)
