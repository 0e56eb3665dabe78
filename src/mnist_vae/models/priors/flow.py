"""Normalising-flow prior."""

import torch
from torch import Tensor, nn

from mnist_vae.models.priors.base import Prior, check_counts
from mnist_vae.models.priors.standard_normal import StandardNormal

# A layer scales by e^±2 at most. A given dimension is transformed by every other layer, so four layers reach e^±4.
MAX_LOG_SCALE = 2.0


class Flow(Prior):
    """p(z) = N(f(z); 0, I) |det df/dz|, f being affine coupling layers: Dinh et al. (2017), "Real NVP", equations 3-9.

    Initialised as N(0, I). As the prior of a VAE: Huang et al. (2017), "Learnable explicit density".

    Args:
        latent_dim: number of latent dimensions, at least 2.
        layers: number of coupling layers. Each transforms half of the dimensions, so two or more transform all.
        hidden_dim: width of the two hidden layers of each coupling layer's network.

    Raises:
        ValueError: a size is below 1, or latent_dim is 1.
    """

    def __init__(self, latent_dim: int, layers: int = 6, hidden_dim: int = 128) -> None:
        check_counts(latent_dim=latent_dim, layers=layers, hidden_dim=hidden_dim)
        if latent_dim < 2:
            raise ValueError(f"latent_dim is {latent_dim}; a coupling flow needs 2 or more")
        super().__init__(latent_dim)
        self.base = StandardNormal(latent_dim)
        self.couplings = nn.ModuleList(AffineCoupling(_mask(i, latent_dim), hidden_dim) for i in range(layers))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute f(z), (..., latent_dim), and log|det df/dz|, (...), of codes (..., latent_dim)."""
        log_det = z.new_zeros(z.shape[:-1])
        for coupling in self.couplings:
            log_scale, shift = coupling(z)
            z, log_det = z * log_scale.exp() + shift, log_det + log_scale.sum(dim=-1)
        return z, log_det

    def inverse(self, base: Tensor) -> Tensor:
        """Compute the codes z for which f(z) = `base`, (..., latent_dim)."""
        for coupling in reversed(self.couplings):
            log_scale, shift = coupling(base)  # equal to those at z: they depend on the unchanged dimensions only
            base = (base - shift) * torch.exp(-log_scale)
        return base

    def log_prob(self, z: Tensor) -> Tensor:
        # In half precision the rounding error of the last layers' shifts could exceed the width of a narrow posterior.
        with torch.autocast(z.device.type, enabled=False):
            base, log_det = self(z.to(self._dtype_and_device))
            return (self.base.log_prob(base) + log_det).to(z.dtype)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        base = self.base.sample(count, generator, temperature).to(self._dtype_and_device)
        with torch.autocast(base.device.type, enabled=False):
            return self.inverse(base)

    @property
    def _dtype_and_device(self) -> Tensor:
        return next(self.parameters())


class AffineCoupling(nn.Module):
    """Network of s and t in y = b z + (1 - b) (z exp(s(b z)) + t(b z)), b a mask: Dinh et al. (2017), equation 9.

    Both are zero where b is 1, so that y = z exp(s) + t; and initialised to zero everywhere.

    Args:
        mask: b, (latent_dim,): 1 for dimensions that the layer leaves unchanged, 0 for the others.
        hidden_dim: width of the two hidden layers of the network of s and t.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, hidden_dim: int) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        last = nn.Linear(hidden_dim, 2 * len(mask))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(
            nn.Linear(len(mask), hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, hidden_dim), nn.ReLU(), last
        )

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute s and t, each (..., latent_dim), of codes (..., latent_dim)."""
        raw, shift = self.network(z * self.mask).chunk(2, dim=-1)
        changed = 1 - self.mask
        return changed * MAX_LOG_SCALE * torch.tanh(raw / MAX_LOG_SCALE), changed * shift


def _mask(layer: int, latent_dim: int) -> Tensor:
    """Mask of one coupling layer, (latent_dim,): first half, second half, even and odd dimensions in turn.

    With only two of these masks, some dimensions would never interact.
    """
    index = torch.arange(latent_dim)
    mask = index < latent_dim // 2 if layer % 4 < 2 else index % 2 == 0
    return (mask if layer % 2 == 0 else ~mask).float()
