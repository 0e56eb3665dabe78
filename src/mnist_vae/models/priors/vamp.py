"""VampPrior: the variational mixture of posteriors."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mnist_vae.models.posteriors import Posterior, detached
from mnist_vae.models.priors.base import Prior, check_counts
from mnist_vae.models.priors.mixture_density import log_mixture, sample_mixture
from mnist_vae.utils.pixels import to_unit


class VampPrior(Prior):
    """p(z) = 1/K sum_k q(z|u_k), with learned pseudo-inputs u_k: Tomczak & Welling (2018).

    Args:
        latent_dim: number of latent dimensions.
        image_shape: (channels, height, width), set from the data.
        components: number of pseudo-inputs; 500 in the paper.
        initial_mean: pseudo-inputs are initialised by draws from N(initial_mean, initial_std²); the mean should be
            near that of the data. The defaults are those of the paper's code for MNIST.
        initial_std: standard deviation of the initial pseudo-inputs.

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
        # A bound method rather than the VAE, which as a submodule of its own prior would be a cycle. A deep copy of the
        # VAE copies the method too, which binds the copy's prior to the copy's encoder.
        self._encode = encode

    @torch.no_grad()
    def start_from(self, images: Tensor) -> None:
        """Take images (components, channels, height, width), in [0, 1] or uint8, as pseudo-inputs."""
        self.unbounded.copy_(to_unit(images))

    @property
    def pseudo_inputs(self) -> Tensor:
        """Pseudo-inputs u_k: images (components, channels, height, width) in [0, 1]."""
        return _UnitInterval.apply(self.unbounded)

    @property
    def components(self) -> Posterior:
        """Posteriors q(z|u_k) of the pseudo-inputs.

        Raises:
            ValueError: no encoder is bound.
        """
        if self._fixed is not None:
            return self._fixed
        if self._encode is None:
            raise ValueError("a VampPrior needs a VAE's encoder: build the VAE with it, or call bind first")
        # Under the same autocast as images, so that u_k is encoded exactly as an image would be.
        return self._encode(self.pseudo_inputs)

    def fixed(self) -> "VampPrior":
        fixed = copy.copy(self)
        fixed._fixed = detached(self.components)
        return fixed

    def log_prob(self, z: Tensor) -> Tensor:
        return log_mixture(self.components, -math.log(len(self.unbounded)), z)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        return sample_mixture(self.components, torch.ones(len(self.unbounded)), count, generator, temperature)


class _UnitInterval(torch.autograd.Function):
    """Clamp to [0, 1], in place of the paper's hard tanh.

    For a value out of range, gradients that move it towards the interval are passed through, else it could not return;
    gradients that move it further away are set to 0.
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
