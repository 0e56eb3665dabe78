"""Result type and argument checks shared by the objectives."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor, nn


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


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Compute without gradients of these modules' parameters; gradients of their inputs are kept."""
    trained = {parameter for module in modules for parameter in module.parameters() if parameter.requires_grad}
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
