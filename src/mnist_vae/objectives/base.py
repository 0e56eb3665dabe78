"""Result type and argument checks shared by the objectives."""

import math
from typing import NamedTuple

from torch import Tensor


class Terms(NamedTuple):
    """Loss terms in nats per image, each (images,).

    Attributes:
        loss: the objective, which the optimiser minimises.
        reconstruction: -log p(x|z).
        kl: KL(q(z|x) || p(z)). Both terms are unweighted, whatever the objective, so that
            `elbo = -(reconstruction + kl)` is comparable between runs.
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


def check_numbers(**numbers: float) -> None:
    """Check that every number is non-negative and finite.

    Raises:
        ValueError: naming the argument and its value.
    """
    for name, value in numbers.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}; it must be 0 or more, and finite")
