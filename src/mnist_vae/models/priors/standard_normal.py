"""Standard normal prior."""

import torch
from torch import Tensor

from mnist_vae.models.posteriors import LOG_2PI, DiagonalGaussian, FullGaussian, Posterior
from mnist_vae.models.priors.base import Prior


class StandardNormal(Prior):
    """p(z) = N(0, I): Kingma & Welling (2014), section 3."""

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square() + LOG_2PI).sum(dim=-1)

    def kl_per_dimension(self, posterior: Posterior) -> Tensor | None:
        """KL of each latent dimension in nats, (images, latent_dim): Kingma & Welling (2014), appendix B.

        None for other posteriors, whose KL exceeds the sum over their marginals.
        """
        return _kl_of_marginals(posterior) if isinstance(posterior, DiagonalGaussian) else None

    def kl(self, posterior: Posterior, z: Tensor | None = None, log_q: Tensor | None = None) -> Tensor:
        """KL(q(z|x) || p(z)) in nats: of a Gaussian in closed form, (images,), without z; else see Prior.kl."""
        if not isinstance(posterior, DiagonalGaussian | FullGaussian):
            assert z is not None
            return super().kl(posterior, z, log_q)
        marginals = _kl_of_marginals(posterior).sum(dim=-1)
        if isinstance(posterior, DiagonalGaussian):
            return marginals
        # The total correlation of q(z|x): half of sum_j log var_j - log det covariance.
        return marginals + 0.5 * posterior.log_var.sum(dim=-1) - posterior.log_det

    def quantile(self, probability: Tensor) -> Tensor:
        """Quantiles of each dimension, (p, latent_dim), at probabilities (p,): the inverse normal CDF."""
        return torch.special.ndtri(probability)[:, None].expand(-1, self.latent_dim)

    def sample(self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        device = generator.device if generator is not None else "cpu"
        return temperature * torch.randn(count, self.latent_dim, generator=generator, device=device)


def _kl_of_marginals(posterior: DiagonalGaussian | FullGaussian) -> Tensor:
    """KL(q(z_j|x) || N(0, 1)) in nats, (images, latent_dim)."""
    log_var = posterior.log_var
    return 0.5 * (posterior.mean.square() + log_var.exp() - 1 - log_var)
