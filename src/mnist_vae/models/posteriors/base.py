"""What all families of posteriors share: operations on their tensors, and bounded parameters."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

LOG_2PI = math.log(2 * math.pi)
DRAWS, DRAWS_AT_ONCE, SEED = 64, 8, 20140414  # of estimated moments

Family = TypeVar("Family", bound=tuple[Any, ...])


def mapped(posterior: Family, function: Callable[[Tensor], Tensor]) -> Family:
    """Apply `function` to each tensor of a posterior, as in `mapped(q, lambda part: part[:10])`."""
    return type(posterior)(*(function(part) if isinstance(part, Tensor) else part for part in posterior))


def detached(posterior: Family) -> Family:
    """The same posterior as a constant: log_prob has no gradient but that of the code."""

    def constant(part: Any) -> Any:
        return copy.deepcopy(part).requires_grad_(False) if isinstance(part, nn.Module) else part.detach()

    return type(posterior)(*map(constant, posterior))


def concatenated(posteriors: Sequence[Family]) -> Family:
    """One posterior of the images of several, which one encoder computed."""
    parts = zip(*posteriors, strict=True)
    return type(posteriors[0])(*(torch.cat(part) if isinstance(part[0], Tensor) else part[0] for part in parts))


def sampled_log_var(posterior: Any) -> Tensor:
    """Logarithms of the marginal variances of q(z|x), (images, latent_dim), from DRAWS samples of each image.

    The draws are the same for every image. They come in pairs of opposite signs with a mean square of 1, so that a
    diagonal Gaussian has its exact variances.

    Args:
        posterior: of a family whose moments have no closed form.
    """
    centre: Tensor = posterior.mean
    half = torch.randn(DRAWS // 2, 1, centre.shape[-1], generator=torch.Generator().manual_seed(SEED)).to(centre)
    half = half / half.square().mean(dim=0).sqrt()
    noise = torch.cat([half, -half])
    first, second = torch.zeros_like(centre), torch.zeros_like(centre)
    for part in noise.split(DRAWS_AT_ONCE):
        deviation = posterior.rsample(part.expand(-1, *centre.shape)) - centre
        first, second = first + deviation.sum(dim=0), second + deviation.square().sum(dim=0)
    variance = second / DRAWS - (first / DRAWS).square()
    return variance.clamp(min=torch.finfo(variance.dtype).tiny).log()


def clamp(raw: Tensor, low: float, high: float) -> Tensor:
    """Clamp to [low, high] with a straight-through gradient, so that a value out of range can return to it."""
    # raw - raw is 0, but for an infinite value.
    return raw.clamp(low, high).detach() + (raw - raw.detach()).nan_to_num()
