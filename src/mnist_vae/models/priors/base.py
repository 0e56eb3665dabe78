"""Base class of priors."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mnist_vae.models.posteriors import Posterior

QUANTILE_SAMPLES = 20_000
QUANTILE_SEED = 20140414


class Prior(nn.Module):
    """Base class of priors p(z) over `latent_dim` dimensions. A subclass implements `log_prob` and `sample`.

    A prior whose KL has a closed form overrides `kl`, and `kl_per_dimension` if that is a sum over dimensions.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (...), of codes (..., latent_dim)."""
        raise NotImplementedError

    def sample(self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        """Sample codes from p(z), (count, latent_dim), without gradients.

        They are on the device of the prior's parameters, or on that of the generator if the prior has none.

        Args:
            count: number of samples.
            generator: source of randomness, used on its own device; torch's global CPU generator if None.
            temperature: scale of the standard deviation of the mixture's components or of the flow's base
                distribution; below 1, samples are closer to the modes.
        """
        raise NotImplementedError

    def bind(self, encode: Callable[[Tensor], Posterior]) -> None:
        """Receive the encoder x -> q(z|x) when the VAE is built; for priors that are defined by posteriors."""

    def fixed(self) -> "Prior":
        """Return this prior with everything that depends only on the weights precomputed; valid until they change."""
        return self

    def kl(self, posterior: Posterior, z: Tensor, log_q: Tensor | None = None) -> Tensor:
        """Monte Carlo estimate log q(z|x) - log p(z) of KL(q(z|x) || p(z)) in nats per image, (..., images).

        Its mean over z is the KL: Kingma & Welling (2014), equation 6.

        Args:
            posterior: q(z|x).
            z: samples of it, (..., images, latent_dim).
            log_q: log q(z|x) where it is known, (..., images).
        """
        return (posterior.log_prob(z) if log_q is None else log_q) - self.log_prob(z)

    def kl_per_dimension(self, posterior: Posterior) -> Tensor | None:
        """KL of each latent dimension in nats, (images, latent_dim); None if the KL is not a sum over dimensions."""
        return None

    @torch.no_grad()
    def quantile(self, probability: Tensor) -> Tensor:
        """Quantiles of each dimension, (p, latent_dim) on the CPU, at probabilities (p,); estimated from samples."""
        samples = self.sample(QUANTILE_SAMPLES, torch.Generator().manual_seed(QUANTILE_SEED))
        return torch.quantile(samples.cpu().double(), probability.double(), dim=0)


def check_counts(**counts: int) -> None:
    """Check that every count is at least 1.

    Raises:
        ValueError: naming the argument and its value.
    """
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
