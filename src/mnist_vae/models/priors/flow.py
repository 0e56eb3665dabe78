"""A normalising flow as the prior."""

import torch
from torch import Tensor, nn

from mnist_vae.models.priors.base import Prior, check_counts
from mnist_vae.models.priors.standard_normal import StandardNormal

# A layer scales by e^±2 at most. Every other layer changes a given dimension, so four layers reach e^±4.
MAX_LOG_SCALE = 2.0


class Flow(Prior):
    """p(z) = N(f(z); 0, I) |det df/dz|, f a stack of affine couplings: Dinh et al. (2017), "Real NVP", equations 3-9.

    It starts as N(0, I). As the prior of a VAE: Huang et al. (2017), "Learnable explicit density".

    Args:
        layers: number of couplings; each changes half of the dimensions, so two or more change all.
        hidden_dim: width of the two hidden layers in each coupling's network.

    Raises:
        ValueError: a size is below 1, or there is only one dimension.
    """

    def __init__(self, latent_dim: int, layers: int = 6, hidden_dim: int = 128) -> None:
        check_counts(latent_dim=latent_dim, layers=layers, hidden_dim=hidden_dim)
        if latent_dim < 2:
            raise ValueError(f"latent_dim is {latent_dim}; a coupling flow needs 2 or more")
        super().__init__(latent_dim)
        self.base = StandardNormal(latent_dim)
        self.couplings = nn.ModuleList(Coupling(_kept(i, latent_dim), hidden_dim) for i in range(layers))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """f(z) (..., latent_dim) and log|det df/dz| (...), of codes (..., latent_dim)."""
        log_det = z.new_zeros(z.shape[:-1])
        for coupling in self.couplings:
            log_scale, shift = coupling(z)
            z, log_det = z * log_scale.exp() + shift, log_det + log_scale.sum(dim=-1)
        return z, log_det

    def inverse(self, base: Tensor) -> Tensor:
        """The codes z whose f(z) is `base`, (..., latent_dim)."""
        for coupling in reversed(self.couplings):
            log_scale, shift = coupling(base)  # as they were of z: they depend on the dimensions that are kept
            base = (base - shift) * torch.exp(-log_scale)
        return base

    def log_prob(self, z: Tensor) -> Tensor:
        # In half precision the shifts of the last layers would be as coarse as a narrow posterior is wide.
        with torch.autocast(z.device.type, enabled=False):
            base, log_det = self(z.to(self._dtype_and_device))
            return (self.base.log_prob(base) + log_det).to(z.dtype)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        drawn = self.base.sample(count, generator, temperature).to(self._dtype_and_device)
        with torch.autocast(drawn.device.type, enabled=False):
            return self.inverse(drawn)

    @property
    def _dtype_and_device(self) -> Tensor:
        return next(self.parameters())


class Coupling(nn.Module):
    """s and t of y = b z + (1 - b) (z exp(s(b z)) + t(b z)), b a mask: Dinh et al. (2017), equation 9.

    Both are zero where b keeps a dimension, so that y = z exp(s) + t; and zero everywhere before training.

    Args:
        kept: b, (latent_dim,) of zeros and ones.
        hidden_dim: width of the two hidden layers of the network of s and t.
    """

    kept: Tensor

    def __init__(self, kept: Tensor, hidden_dim: int) -> None:
        super().__init__()
        self.register_buffer("kept", kept, persistent=False)
        last = nn.Linear(hidden_dim, 2 * len(kept))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(
            nn.Linear(len(kept), hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, hidden_dim), nn.ReLU(), last
        )

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """s and t, each (..., latent_dim)."""
        raw, shift = self.network(z * self.kept).chunk(2, dim=-1)
        changed = 1 - self.kept
        return changed * MAX_LOG_SCALE * torch.tanh(raw / MAX_LOG_SCALE), changed * shift


def _kept(layer: int, latent_dim: int) -> Tensor:
    """The mask of one coupling: first half, second half, even, odd, and again, so that all dimensions mix."""
    index = torch.arange(latent_dim)
    kept = index < latent_dim // 2 if layer % 4 < 2 else index % 2 == 0
    return (kept if layer % 2 == 0 else ~kept).float()
