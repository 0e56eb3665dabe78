"""What every prior offers."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mnist_vae.models.posteriors import Posterior

QUANTILE_SAMPLES = 20_000
QUANTILE_SEED = 20140414


class Prior(nn.Module):
    """p(z) over codes of `latent_dim` dimensions. A subclass has `log_prob` and `sample`; the rest follows.

    One whose KL has a closed form overrides `kl`, and `kl_per_dimension` if that is a sum over dimensions.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats, (...), of codes (..., latent_dim)."""
        raise NotImplementedError

    def sample(self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        """Latent codes drawn from the prior, (count, latent_dim), without gradients.

        They are on the device of the prior's parameters; on the generator's if it has none.

        Args:
            generator: source of the draws, which are made on its device; torch's global one if None.
            temperature: scale of the standard deviation of the Gaussians that the prior is made of or starts from;
                below 1 codes keep closer to its modes.
        """
        raise NotImplementedError

    def bind(self, encode: Callable[[Tensor], Posterior]) -> None:
        """Called once with the VAE's own encoder, x -> q(z|x), for a prior that is made of posteriors."""

    def fixed(self) -> "Prior":
        """This prior for many calls in which no weight changes; one that has to be made first is made once."""
        return self

    def kl(self, posterior: Posterior, z: Tensor) -> Tensor:
        """KL(q(z|x) || p(z)) in nats per image, estimated by draws z from q (..., images, latent_dim): (..., images).

        log q(z|x) - log p(z), whose mean over z is the KL: Kingma & Welling (2014), equation 6.
        """
        return posterior.log_prob(z) - self.log_prob(z)

    def kl_per_dimension(self, posterior: Posterior) -> Tensor | None:
        """The KL's share of each dimension in nats, (images, latent_dim); None if it is no sum over dimensions."""
        return None

    @torch.no_grad()
    def quantile(self, probability: Tensor) -> Tensor:
        """Each dimension's value at each probability (p,): (p, latent_dim) on the CPU, estimated from draws."""
        drawn = self.sample(QUANTILE_SAMPLES, torch.Generator().manual_seed(QUANTILE_SEED))
        return torch.quantile(drawn.cpu().double(), probability.double(), dim=0)


def check_counts(**counts: int) -> None:
    """Raise ValueError, naming the argument, unless every count is at least 1."""
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
