"""FactorVAE: the total correlation of codes, estimated by a discriminator."""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnist_vae.models.priors.base import check_counts
from mnist_vae.models.vae import VAE
from mnist_vae.objectives.base import Terms, check_numbers, frozen
from mnist_vae.utils.seeding import Noise


class FactorVAE(nn.Module):
    """Negative ELBO + gamma * total correlation KL(q(z) || Π q(z_j)): Kim & Mnih (2018), equation 2.

    A discriminator tells codes from codes whose dimensions are permuted over the batch, samples of Π q(z_j). Its logit
    estimates the logarithm of the density ratio, equation 3. It is trained by the same loss, to which its own
    cross-entropy (algorithm 2) adds 0, and by the optimiser's options of its own. Unlike in algorithm 2, the codes that
    are permuted are those of the batch itself, not of a second batch.

    Args:
        gamma: weight of the total correlation.
        latent_dim: number of latent dimensions.
        layers, hidden_dim: number and width of the discriminator's hidden layers.
        lr, betas: of the discriminator's Adam.

    Raises:
        ValueError: gamma is negative, infinite or NaN, lr not positive and finite, a beta not in [0, 1), or a size
            below 1.
    """

    requires_full_batch = True
    min_batch_size = 2

    def __init__(
        self, gamma: float, latent_dim: int, layers: int, hidden_dim: int, lr: float, betas: tuple[float, float]
    ) -> None:
        check_numbers(gamma=gamma)
        if not 0 < lr < math.inf:
            raise ValueError(f"lr is {lr}; it must be above 0, and finite")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas is {list(betas)}; each must be 0 or more, and below 1")
        check_counts(latent_dim=latent_dim, layers=layers, hidden_dim=hidden_dim)
        super().__init__()
        self.gamma = gamma
        self.optimizer_options = {"lr": lr, "betas": tuple(betas)}
        self.discriminator = discriminator(latent_dim, layers, hidden_dim)
        self._last: dict[str, Tensor] = {}

    def schedule_values(self, epoch: float) -> dict[str, float]:
        """Estimated total correlation and the discriminator's cross-entropy, in nats, of the last training batch."""
        return {name: float(self._last.get(name, math.nan)) for name in ("total_correlation", "discriminator_loss")}

    def forward(self, vae: VAE, x: Tensor, labels: Tensor | None, epoch: float, noise: Noise) -> Terms:
        """Compute the terms of images x (images, channels, height, width)."""
        posterior, z, log_likelihood, log_q = vae.infer(x, noise, labels=labels)
        kl = vae.prior.kl(posterior, z, log_q)
        with frozen(self.discriminator):
            correlation = self.log_ratio(z)
        loss = kl + self.gamma * correlation - log_likelihood
        if torch.is_grad_enabled():
            codes = z.detach()
            cross_entropy = 0.5 * (
                F.softplus(-self.log_ratio(codes)) + F.softplus(self.log_ratio(permuted(codes, noise)))
            )
            loss = loss + cross_entropy - cross_entropy.detach()
            self._last = {
                "total_correlation": correlation.detach().mean(),
                "discriminator_loss": cross_entropy.detach().mean(),
            }
        return Terms(loss, -log_likelihood, kl)

    def log_ratio(self, z: Tensor) -> Tensor:
        """Estimate log q(z) - Σ_j log q(z_j) in nats, (images,), of codes (images, latent_dim)."""
        return self.discriminator(z).squeeze(-1).to(z.dtype)


def discriminator(latent_dim: int, layers: int, hidden_dim: int) -> nn.Sequential:
    """Network from codes (images, latent_dim) to logits (images, 1): Kim & Mnih (2018), appendix A."""
    widths = [latent_dim, *[hidden_dim] * layers]
    hidden = [
        part
        for inputs, outputs in itertools.pairwise(widths)
        for part in (nn.Linear(inputs, outputs), nn.LeakyReLU(0.2))
    ]
    return nn.Sequential(*hidden, nn.Linear(hidden_dim, 1))


def permuted(z: Tensor, noise: Noise) -> Tensor:
    """Permute codes (images, latent_dim) over the images, each dimension by itself: Kim & Mnih (2018), algorithm 1."""
    return z.gather(0, noise.uniform(z.shape[1], device=z.device).argsort(dim=0))
