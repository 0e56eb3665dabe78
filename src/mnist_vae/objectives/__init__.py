"""What is minimised, one file each. An objective is a callable `(vae, x, labels, epoch, noise) -> Terms`.

It may also have

- `schedule_values(epoch)`: the values of its schedules by name, to be logged;
- `requires_full_batch`: True if the terms of an image depend on the others of its batch, which therefore must be in one
  process;
- `smallest_batch`: images that a batch must have;
- `needs_kl_per_dimension`: True if the KL must be a sum over latent dimensions.

The metric that chooses the best epoch is the config key `monitor`; the yaml of an objective may set it.
"""

from mnist_vae.objectives.base import Terms
from mnist_vae.objectives.beta_tcvae import BetaTCVAE
from mnist_vae.objectives.capacity import Capacity
from mnist_vae.objectives.elbo import ELBO
from mnist_vae.objectives.iwae import IWAE
from mnist_vae.objectives.mmd import MMD

__all__ = ["ELBO", "IWAE", "MMD", "BetaTCVAE", "Capacity", "Terms"]
