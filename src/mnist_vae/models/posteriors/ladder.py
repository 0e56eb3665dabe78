"""Posterior of a ladder VAE: groups of latent dimensions, each given the image and those above it."""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from mnist_vae.models.networks.base import check_sizes
from mnist_vae.models.posteriors.base import sampled_log_var
from mnist_vae.models.posteriors.gaussian import DiagonalGaussian, clamp_log_var, gaussian_kl

if TYPE_CHECKING:
    from mnist_vae.models.priors.hierarchical import Hierarchical

MAX_PAIRS = 1_000_000  # of codes and images at once


class LadderPosterior(NamedTuple):
    """q(z|x) = q(z_1|x) q(z_2|x, z_1) …, z_1 being the top: Sønderby et al. (2016), section 2.

    Each factor but the first combines what the encoder says of the group with the prior p(z_i|z_1 … z_(i-1)), by the
    precision-weighted mean of both Gaussians.

    Attributes:
        encoded_mean, encoded_log_var: the encoder's Gaussian of every group, (images, latent_dim).
        prior: p(z), with `groups` and `conditional`.
    """

    encoded_mean: Tensor
    encoded_log_var: Tensor
    prior: "Hierarchical"

    @property
    def mean(self) -> Tensor:
        """The code whose every group is the mean given those above, (images, latent_dim).

        It stands in place of the mean of q(z|x), which has no closed form.
        """
        return self.rsample(torch.zeros_like(self.encoded_mean))

    @property
    def log_var(self) -> Tensor:
        """Logarithms of the marginal variances, (images, latent_dim), estimated; see base.sampled_log_var."""
        return sampled_log_var(self)

    def rsample(self, noise: Tensor | None = None) -> Tensor:
        """Sample z, group by group from the top, by reparameterisation, in the shape of `noise`.

        Args:
            noise: standard normal draws, (..., images, latent_dim); if None, one per image from torch's global
                generator.
        """
        return self.rsample_and_log_prob(torch.randn_like(self.encoded_mean) if noise is None else noise)[0]

    def rsample_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Sample z, see rsample, and compute log q(z|x) in nats, (..., images), from the draws."""
        noise = noise.to(self.encoded_mean)
        z, log_q = noise[..., :0], noise.new_zeros(noise.shape[:-1])
        for i, part in enumerate(self.prior.groups):
            sampled, log_prob = self.factor(i, z).rsample_and_log_prob(noise[..., part])
            z, log_q = torch.cat([z, sampled], dim=-1), log_q + log_prob
        return z, log_q

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats, (..., images), of codes (..., images, latent_dim) under the posterior of their image."""
        parts = enumerate(self.prior.groups)
        terms = [self.factor(i, z[..., : part.start]).log_prob(z[..., part]) for i, part in parts]
        return torch.stack(terms).sum(dim=0)

    def log_prob_pairwise(self, z: Tensor) -> Tensor:
        """log q(z|x) in nats of every code (codes, latent_dim) under every image's posterior, (codes, images)."""
        rows = max(1, MAX_PAIRS // self.encoded_mean.numel())
        return torch.cat([self.log_prob(part[:, None]) for part in z.split(rows)])

    def kl_by_group(self, z: Tensor) -> Tensor:
        """KL(q(z_i|x, z_above) || p(z_i|z_above)) in nats of every group, in closed form given samples z of q(z|x).

        Args:
            z: (..., images, latent_dim).

        Returns:
            (groups, ..., images), from the top.
        """
        given = [(i, z[..., : part.start]) for i, part in enumerate(self.prior.groups)]
        terms = [gaussian_kl(self.factor(*each), self.prior.conditional(*each)).sum(dim=-1) for each in given]
        return torch.stack(torch.broadcast_tensors(*terms))

    def factor(self, group: int, above: Tensor) -> DiagonalGaussian:
        """q(z_group|x, above) of codes (..., images, dimensions above)."""
        part = self.prior.groups[group]
        encoded = DiagonalGaussian(self.encoded_mean[:, part], self.encoded_log_var[:, part])
        return encoded if group == 0 else _product(encoded, self.prior.conditional(group, above))


class Ladder(nn.Module):
    """Layers from features to a LadderPosterior: Sønderby et al. (2016), section 2, without batch normalisation.

    The encoder's features give the lowest group, and one fully connected layer more for each group above it.

    Args:
        features: width of the encoder's output.
        latent_dim: number of latent dimensions in all.
        prior: the VAE's prior.
        hidden_dim: width of the layers.

    Raises:
        ValueError: hidden_dim is below 1, or the prior is not hierarchical.
    """

    family = LadderPosterior
    density_in_one_pass = True

    def __init__(self, features: int, latent_dim: int, prior: "Hierarchical", hidden_dim: int = 256) -> None:
        check_sizes(hidden_dim=hidden_dim)
        if not hasattr(prior, "conditional"):
            raise ValueError("the prior has no groups of dimensions; choose prior=hierarchical with it")
        super().__init__()
        self._prior = (prior,)  # in a tuple, since it is a module of the VAE already; see keep_prior
        groups = prior.groups
        widths = [features, *[hidden_dim] * (len(groups) - 1)]  # from the lowest group
        self.deeper = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden_dim), nn.ReLU()) for width in widths[: len(groups) - 1]
        )
        self.heads = nn.ModuleList(
            nn.Linear(width, 2 * (part.stop - part.start)) for width, part in zip(widths, reversed(groups), strict=True)
        )

    def keep_prior(self) -> None:
        """Make the prior a module of this layer, since the VAE is given another one."""
        self.prior = self._prior[0]

    def posterior(self, features: Tensor, dtype: torch.dtype) -> LadderPosterior:
        """Compute q(z|x) in `dtype` from features (images, features)."""
        parameters = [self.heads[0](features)]
        for deeper, head in zip(self.deeper, self.heads[1:], strict=True):
            features = deeper(features)
            parameters.append(head(features))
        means, raw = zip(*(both.to(dtype).chunk(2, dim=-1) for both in reversed(parameters)), strict=True)
        return LadderPosterior(torch.cat(means, dim=-1), clamp_log_var(torch.cat(raw, dim=-1)), self._prior[0])


def _product(one: DiagonalGaussian, other: DiagonalGaussian) -> DiagonalGaussian:
    """The Gaussian that is proportional to the product of two densities."""
    log_precision = torch.logaddexp(-one.log_var, -other.log_var)
    weight = torch.exp(-one.log_var - log_precision)
    return DiagonalGaussian(weight * one.mean + (1 - weight) * other.mean, -log_precision)
