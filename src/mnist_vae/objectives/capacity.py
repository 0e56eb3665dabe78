"""A KL term that is held at a capacity which grows."""

import math

from torch import Tensor

from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms, check_numbers
from mnist_vae.utils.seeding import Noise


class Capacity:
    """Reconstruction + gamma * |KL - C|, C rising linearly from 0: Burgess et al. (2018), equation 8.

    Args:
        capacity: C in nats, once risen.
        gamma: weight of the distance from it.
        rise_epochs: epochs over which C rises, step by step; 0 for at once.

    Raises:
        ValueError: an argument is negative, infinite or NaN.
    """

    requires_full_batch = True

    def __init__(self, capacity: float, gamma: float, rise_epochs: float) -> None:
        check_numbers(capacity=capacity, gamma=gamma, rise_epochs=rise_epochs)
        self.capacity, self.gamma, self.rise_epochs = capacity, gamma, rise_epochs

    def capacity_at(self, epoch: float) -> float:
        """C in nats after `epoch` epochs (fractions count)."""
        return self.capacity * min(1.0, epoch / self.rise_epochs if self.rise_epochs else math.inf)

    def schedule_values(self, epoch: float) -> dict[str, float]:
        """What is logged of the schedule, by name."""
        return {"capacity": self.capacity_at(epoch)}

    def __call__(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """The terms for images x (n, channels, height, width) after `epoch` epochs of training."""
        reconstruction, kl = vae.elbo_terms(x, noise, labels)
        # Of the mean over the batch, as in the paper: C is what images carry on average, not each of them.
        distance = (kl.mean() - self.capacity_at(epoch)).abs()
        return Terms(reconstruction + self.gamma * distance, reconstruction, kl)
