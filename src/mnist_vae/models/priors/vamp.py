"""The variational mixture of posteriors as the prior."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mnist_vae.models.posteriors import Posterior, mapped
from mnist_vae.models.priors.base import Prior, check_counts
from mnist_vae.models.priors.mixture_density import log_mixture, sample_mixture


class VampPrior(Prior):
    """p(z) = 1/K sum_k q(z|u_k), with learned pseudo-inputs u_k: Tomczak & Welling (2018), equations 9 and 10.

    Args:
        image_shape: (channels, height, width), taken from the data.
        components: number of pseudo-inputs; the paper's 500.
        initial_mean: about the mean of the data's values. Pseudo-inputs start as draws of
            N(initial_mean, initial_std²); the defaults are those of the paper's code for MNIST.
        initial_std: what tells the pseudo-inputs apart at first.

    Raises:
        ValueError: a size is below 1.
    """

    def __init__(
        self,
        latent_dim: int,
        image_shape: tuple[int, int, int],
        components: int = 500,
        initial_mean: float = 0.05,
        initial_std: float = 0.01,
    ) -> None:
        check_counts(latent_dim=latent_dim, components=components)
        super().__init__(latent_dim)
        self.unbounded = nn.Parameter(initial_mean + initial_std * torch.randn(components, *image_shape))
        self._encode: Callable[[Tensor], Posterior] | None = None
        self._fixed: Posterior | None = None

    def bind(self, encode: Callable[[Tensor], Posterior]) -> None:
        # A method, not the VAE: the VAE as a submodule of its own prior would be a cycle. A deep copy of the VAE
        # copies the method with it, and so binds the copy's prior to the copy.
        self._encode = encode

    @property
    def pseudo_inputs(self) -> Tensor:
        """u_k as images in [0, 1], (components, channels, height, width)."""
        return _UnitInterval.apply(self.unbounded)

    @property
    def components(self) -> Posterior:
        """q(z|u_k) of each pseudo-input."""
        if self._fixed is not None:
            return self._fixed
        if self._encode is None:
            raise ValueError("a VampPrior needs a VAE's encoder: build the VAE with it, or call bind, first")
        # Mixed precision stays on for the encoder, so that u_k is encoded just as an image is.
        return self._encode(self.pseudo_inputs)

    def fixed(self) -> "VampPrior":
        known = copy.copy(self)
        known._fixed = mapped(self.components, Tensor.detach)
        return known

    def log_prob(self, z: Tensor) -> Tensor:
        return log_mixture(self.components, -math.log(len(self.unbounded)), z)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        return sample_mixture(self.components, torch.ones(len(self.unbounded)), count, generator, temperature)


class _UnitInterval(torch.autograd.Function):
    """Values clamped to [0, 1], where the paper has a hard tanh.

    A value outside keeps the gradient that pulls it back in, without which it would be stuck for ever, and loses
    the one that would push it further out, with which it would drift too far to come back.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (values,), (gradient,) = ctx.saved_tensors, gradients
        outwards = ((values < 0) & (gradient > 0)) | ((values > 1) & (gradient < 0))
        return gradient.masked_fill(outwards, 0)
