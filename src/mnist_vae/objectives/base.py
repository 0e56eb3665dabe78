"""What objectives share."""

import math
from typing import NamedTuple

from torch import Tensor


class Terms(NamedTuple):
    """Nats per image, each (images,). `loss` is what is minimised; the other two are those of the plain ELBO,
    whatever the objective, so that `elbo = -(reconstruction + kl)` compares runs."""

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


def check_numbers(**numbers: float) -> None:
    """Raise ValueError, naming the argument, unless every number is 0 or more, and finite."""
    for name, value in numbers.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}; it must be 0 or more, and finite")
