"""What is minimised, one file each. An objective is a callable (vae, x, epoch, noise) -> Terms. It may also have

- `in_force(epoch)`: the values of its schedules, by name, to log. It is also a promise, on which steps are recorded as
  CUDA graphs: nothing else is made of the epoch, and nothing is drawn or computed on the CPU;
- `couples_images`: True if an image's terms depend on the others of its batch, which then needs one process;
- `smallest_batch`: images that a batch must have;
- `needs_kl_per_dimension`: True if the KL must be a sum over latent dimensions;
- `best_by`: by what the best epoch is told, `val/elbo` (which it is without this), `val/loss` or `last`.
"""

from mnist_vae.objectives.base import Terms
from mnist_vae.objectives.beta_tcvae import TC
from mnist_vae.objectives.capacity import Capacity
from mnist_vae.objectives.elbo import ELBO
from mnist_vae.objectives.iwae import IWAE
from mnist_vae.objectives.mmd import MMD

__all__ = ["ELBO", "IWAE", "MMD", "TC", "Capacity", "Terms"]
