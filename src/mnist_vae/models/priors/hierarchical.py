"""Hierarchical prior: groups of latent dimensions, each given those above it."""

import torch
from torch import Tensor, nn

from mnist_vae.models.posteriors import DiagonalGaussian, LadderPosterior, Posterior
from mnist_vae.models.posteriors.gaussian import clamp_log_var
from mnist_vae.models.priors.base import Prior, check_counts


class Hierarchical(Prior):
    """p(z) = p(z_1) p(z_2|z_1) p(z_3|z_1, z_2) …, z_1 being the top: Sønderby et al. (2016), section 2.

    p(z_1) = N(0, I), and each other factor is a diagonal Gaussian whose parameters an MLP computes from all groups
    above, as in the dense connections of Maaløe et al. (2019). Initialised as N(0, I).

    Args:
        latent_dim: number of latent dimensions in all, which are divided evenly; earlier dimensions are further up.
        layers: number of groups, z_1, z_2, …
        hidden_dim: width of the two hidden layers of each MLP.

    Raises:
        ValueError: a size is below 1, or there are more layers than dimensions.
    """

    def __init__(self, latent_dim: int, layers: int = 2, hidden_dim: int = 128) -> None:
        check_counts(latent_dim=latent_dim, layers=layers, hidden_dim=hidden_dim)
        if layers > latent_dim:
            raise ValueError(
                f"layers is {layers}; each needs a dimension of its own, and latent_dim is {latent_dim}; take fewer"
            )
        super().__init__(latent_dim)
        self.ends = [latent_dim * (i + 1) // layers for i in range(layers)]
        self.networks = nn.ModuleList(
            _mlp(start, hidden_dim, 2 * (end - start)) for start, end in zip(self.ends, self.ends[1:], strict=False)
        )

    @property
    def groups(self) -> list[slice]:
        """Dimensions of each group, from the top."""
        return [slice(start, end) for start, end in zip([0, *self.ends], self.ends, strict=False)]

    def conditional(self, group: int, above: Tensor) -> DiagonalGaussian:
        """Compute p(z_group|above), of which both tensors are (..., size of the group).

        Args:
            group: index of the group, 0 for the top.
            above: codes of all groups above, (..., dimensions above); of those, any number.
        """
        if group == 0:
            zeros = above.new_zeros(*above.shape[:-1], self.ends[0])
            return DiagonalGaussian(zeros, zeros)
        network = self.networks[group - 1]
        like = next(network.parameters())
        # In half precision the rounding error of the means could exceed the width of a narrow posterior.
        with torch.autocast(above.device.type, enabled=False):
            mean, raw = network(above.to(like)).to(above).chunk(2, dim=-1)
        return DiagonalGaussian(mean, clamp_log_var(raw))

    def log_prob(self, z: Tensor) -> Tensor:
        terms = [self.conditional(i, z[..., : part.start]).log_prob(z[..., part]) for i, part in enumerate(self.groups)]
        return torch.stack(terms).sum(dim=0)

    def kl(self, posterior: Posterior, z: Tensor, log_q: Tensor | None = None) -> Tensor:
        """KL(q(z|x) || p(z)) in nats per image, (..., images), estimated from samples z; see Prior.kl.

        For a LadderPosterior of this prior the KL of each group is in closed form, given the sampled groups above.
        """
        if not isinstance(posterior, LadderPosterior) or posterior.prior is not self:
            return super().kl(posterior, z, log_q)
        return posterior.kl_by_group(z).sum(dim=0)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        device = generator.device if generator is not None else "cpu"
        noise = temperature * torch.randn(count, self.latent_dim, generator=generator, device=device)
        noise = noise.to(next(self.parameters(), noise))
        z = noise[:, :0]
        for i, part in enumerate(self.groups):
            z = torch.cat([z, self.conditional(i, z).rsample(noise[:, part])], dim=-1)
        return z


def _mlp(inputs: int, hidden_dim: int, outputs: int) -> nn.Sequential:
    last = nn.Linear(hidden_dim, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, hidden_dim), nn.ReLU(), last)
