"""Training objectives, one per module. An objective is a callable `(vae, x, labels, epoch, noise) -> Terms`.

Optional attributes of an objective:

- `schedule_values(epoch)`: the current values of its schedules, or of what else it trains, by name, which are logged;
- `requires_full_batch`: True if the terms of an image depend on the other images of the batch, which then must not be
  split over processes;
- `min_batch_size`: smallest batch size for which the objective is defined;
- `needs_kl_per_dimension`: True if the KL must be a sum over latent dimensions.

An objective can be an `nn.Module` with parameters of its own, which are trained by the gradient of the same loss, and
kept in the run's checkpoints, but not loaded with its VAE. Then there is one more:

- `optimizer_options`: options of the optimiser for these parameters, such as `{"lr": 1e-4}`.

The metric by which the best epoch is selected is the config key `monitor`, which the yaml of an objective may set.
"""

from mnist_vae.objectives.base import Terms
from mnist_vae.objectives.beta_tcvae import BetaTCVAE
from mnist_vae.objectives.capacity import Capacity
from mnist_vae.objectives.ciwae import CIWAE
from mnist_vae.objectives.elbo import ELBO
from mnist_vae.objectives.factor import FactorVAE
from mnist_vae.objectives.iwae import IWAE
from mnist_vae.objectives.mmd import MMD
from mnist_vae.objectives.piwae import PIWAE
from mnist_vae.objectives.rae import RAE

__all__ = ["CIWAE", "ELBO", "IWAE", "MMD", "PIWAE", "RAE", "BetaTCVAE", "Capacity", "FactorVAE", "Terms"]
