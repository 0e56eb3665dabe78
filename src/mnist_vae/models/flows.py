"""Normalising flows of affine layers, optionally conditioned on a context: coupling and autoregressive layers."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# A layer scales by e^±2 at most. Where a dimension is transformed by every other layer, four layers reach e^±4.
MAX_LOG_SCALE = 2.0


class AffineFlow(nn.ModuleList):
    """y = f(z), each layer computing z exp(s) + t with s and t functions of z and a context: Rezende & Mohamed (2015).

    Every layer is the identity at first.

    Args:
        layers: AffineCoupling or AffineAutoregressive.
    """

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute f(z), (..., latent_dim), and log|det df/dz|, (...).

        Args:
            z: (..., latent_dim).
            context: (images, context_dim) for z of (..., images, latent_dim).
        """
        log_det = z.new_zeros(z.shape[:-1])
        for layer in self:
            log_scale, shift = layer(z, context)
            z, log_det = z * log_scale.exp() + shift, log_det + log_scale.sum(dim=-1)
        return z, log_det

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute the z for which f(z) = y, and log|det df/dz| at that z; see forward."""
        log_det = y.new_zeros(y.shape[:-1])
        for layer in reversed(list(self)):
            assert isinstance(layer, AffineCoupling | AffineAutoregressive)
            y, log_scale = layer.inverse(y, context)
            log_det = log_det + log_scale.sum(dim=-1)
        return y, log_det


class AffineCoupling(nn.Module):
    """Network of s and t in y = b z + (1 - b) (z exp(s(b z)) + t(b z)), b a mask: Dinh et al. (2017), equation 9.

    Both are zero where b is 1, so that y = z exp(s) + t; and initialised to zero everywhere.

    Args:
        mask: b, (latent_dim,): 1 for dimensions that the layer leaves unchanged, 0 for the others.
        hidden_dim: width of the two hidden layers of the network of s and t.
        context_dim: width of the context; 0 for none.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, hidden_dim: int, context_dim: int = 0) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        self.network = nn.Sequential(
            nn.Linear(len(mask), hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, 2 * len(mask)),
        )
        self.of_context = nn.Linear(context_dim, hidden_dim, bias=False) if context_dim else None
        _zero(self.network[-1])

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute s and t, each (..., latent_dim), of codes (..., latent_dim)."""
        log_scale, shift = _scale_and_shift(self.network, z * self.mask, self.of_context, context)
        changed = 1 - self.mask
        return changed * log_scale, changed * shift

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute z of y, and s at that z."""
        log_scale, shift = self(y, context)  # equal to those at z: they depend on the unchanged dimensions only
        return (y - shift) * torch.exp(-log_scale), log_scale


class AffineAutoregressive(nn.Module):
    """Network of s and t in y = z exp(s) + t, where s_j and t_j depend on z_1 … z_(j-1) and the context only.

    The layer of an inverse autoregressive flow: Kingma et al. (2016), section 3. The network is a MADE, Germain et al.
    (2015), section 3, with two hidden layers; both outputs are initialised to zero.

    Args:
        latent_dim: number of dimensions.
        hidden_dim: width of the hidden layers.
        context_dim: width of the context; 0 for none.
        reverse: order the dimensions from the last to the first.
    """

    def __init__(self, latent_dim: int, hidden_dim: int, context_dim: int = 0, reverse: bool = False) -> None:
        super().__init__()
        self.order = list(range(latent_dim))[:: -1 if reverse else 1]
        degrees = torch.tensor(self.order)
        # A hidden unit of degree m sees the context and the dimensions up to m of the order, of degree -1 the context
        # alone; an output sees only units of a degree below its own.
        hidden = torch.arange(hidden_dim) * latent_dim // hidden_dim - 1
        self.network = nn.Sequential(
            MaskedLinear(degrees <= hidden[:, None]),
            nn.ReLU(),
            MaskedLinear(hidden <= hidden[:, None]),
            nn.ReLU(),
            MaskedLinear((hidden < degrees[:, None]).repeat(2, 1)),
        )
        self.of_context = nn.Linear(context_dim, hidden_dim, bias=False) if context_dim else None
        _zero(self.network[-1])

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute s and t, each (..., latent_dim), of codes (..., latent_dim)."""
        return _scale_and_shift(self.network, z, self.of_context, context)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute z of y, and s at that z, one dimension after the other: latent_dim passes through the network."""
        z = torch.zeros_like(y)
        for j in self.order:
            log_scale, shift = self(z, context)
            solved = (y[..., j] - shift[..., j]) * torch.exp(-log_scale[..., j])
            z = torch.cat([z[..., :j], solved[..., None], z[..., j + 1 :]], dim=-1)
        return z, self(z, context)[0]


class MaskedLinear(nn.Linear):
    """Linear layer with fixed zeros in its weight.

    Args:
        mask: where the weight is not 0, (out_features, in_features) bool.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(features, self.weight * self.mask, self.bias)


def _scale_and_shift(
    network: nn.Sequential, z: Tensor, of_context: nn.Linear | None, context: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Outputs of a layer's network, to whose first layer a linear function of the context is added."""
    hidden = network[0](z)
    if of_context is not None:
        hidden = hidden + of_context(context)
    raw, shift = network[1:](hidden).chunk(2, dim=-1)
    return MAX_LOG_SCALE * torch.tanh(raw / MAX_LOG_SCALE), shift


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def alternating_mask(layer: int, latent_dim: int) -> Tensor:
    """Mask of one of several coupling layers, (latent_dim,): first half, second half, even and odd dimensions in turn.

    With only two of these masks, some dimensions would never interact.
    """
    index = torch.arange(latent_dim)
    mask = index < latent_dim // 2 if layer % 4 < 2 else index % 2 == 0
    return (mask if layer % 2 == 0 else ~mask).float()
