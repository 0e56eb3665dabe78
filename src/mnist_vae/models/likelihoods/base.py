"""Base class of likelihoods."""

import torch
from torch import Tensor, nn

PARAMETER_LIMIT = 10.0  # of parameters_of_mean: a Bernoulli mean of 0.00005 or 0.99995
BISECTIONS = 30


class Likelihood(nn.Module):
    """Base class of likelihoods p(x|z), parameterised by the decoder's output.

    A subclass implements `log_prob` and `mean`, and sets:

    - `parameters_per_value`: decoder outputs per value of the image;
    - `grey_only`: whether it is a distribution of grey levels, which does not apply to binarised pixels;
    - `binary_only`: whether it is a distribution of binarised pixels, which does not apply to grey levels;
    - `sequential`: whether `mean` computes one pixel after the other, which no exported file can hold.
    """

    parameters_per_value = 1
    grey_only = False
    binary_only = False
    sequential = False

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) in nats per image, summed over its values, (..., images).

        Args:
            parameters: the decoder's output, (..., images, parameters_per_value * channels, height, width).
            x: pixels in [0, 1], (images, channels, height, width).
        """
        raise NotImplementedError

    def mean(self, parameters: Tensor) -> Tensor:
        """E[x|z] in [0, 1], or an estimate if it has no closed form, (..., images, channels, height, width)."""
        raise NotImplementedError

    def estimate_mean(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """Compute E[x|z] as `mean` does; where that is an estimate, each code has draws of its own.

        Args:
            generator: source of the draws.
        """
        return self.mean(parameters)

    def sample_binary(self, parameters: Tensor, draws: Tensor) -> Tensor:
        """Draw images in {0, 1} from p(x|z), (..., images, channels, height, width).

        This is for likelihoods of pixels that are independent given z, where p(x_i = 1) is E[x_i|z].

        Args:
            parameters: as of `log_prob`.
            draws: uniform in [0, 1), of a shape that expands to that of the images.
        """
        return (draws < self.mean(parameters)).to(parameters.dtype)

    def parameters_of_mean(self, mean: Tensor) -> Tensor:
        """Parameters of a pixel of that mean, for a decoder to begin with.

        The first parameter of each value is found by bisection, the others are 0: a subclass in which E[x|z] does not
        increase with its first parameter overrides this.

        Args:
            mean: (channels,), in [0, 1].

        Returns:
            (parameters_per_value * channels,).
        """
        low = torch.full_like(mean, -PARAMETER_LIMIT)
        high = -low
        rest = mean.new_zeros((self.parameters_per_value - 1) * len(mean))
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            is_below = self.mean(torch.cat([middle, rest])[:, None, None]).flatten() < mean
            low, high = torch.where(is_below, middle, low), torch.where(is_below, high, middle)
        return torch.cat([middle, rest])
