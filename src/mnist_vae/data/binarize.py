"""From grey levels to pixels in {0, 1}."""

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the schema imports this module, and `--help` must not wait for torch
    from torch import Tensor

    from mnist_vae.utils.seeding import Noise


class Binarize(Enum):
    """How grey levels become the pixels that the model sees."""

    none = "none"  # grey levels, as probabilities
    dynamic = "dynamic"  # drawn anew each time an image is seen: Salakhutdinov & Murray (2008)
    threshold = "threshold"  # 1 above one half


def binarize(x: "Tensor", how: Binarize, noise: "Noise") -> "Tensor":
    """Pixels in [0, 1] as pixels in {0, 1} (or as they are), of the same shape (n, channels, height, width).

    `dynamic` draws each pixel with its grey level as probability: Salakhutdinov & Murray (2008), section 5.
    """
    if how is Binarize.none:
        return x
    if how is Binarize.threshold:
        return (x > 0.5).to(x.dtype)
    return (noise.uniform(*x.shape[1:], device=x.device) < x).to(x.dtype)
