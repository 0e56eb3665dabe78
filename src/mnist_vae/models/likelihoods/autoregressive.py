"""Autoregressive likelihood: each pixel depends on the code and on the pixels before it."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnist_vae.models.likelihoods.base import Likelihood
from mnist_vae.models.likelihoods.independent import Bernoulli
from mnist_vae.models.networks.base import check_sizes


class Autoregressive(Likelihood):
    """p(x|z) = Π p(x_i | x_<i, z), pixels in {0, 1} in raster order: a small PixelCNN conditioned on the decoder.

    van den Oord et al. (2016), "Conditional Image Generation with PixelCNN Decoders", section 2.3; as the likelihood of
    a VAE: Gulrajani et al. (2017), "PixelVAE", and Chen et al. (2017), "Variational Lossy Autoencoder".

    The decoder makes one logit per value, as for a Bernoulli likelihood, and `features` maps per channel. To these a
    masked convolution of x is added, the same for all codes of an image; two layers that see one pixel each turn the
    sum into a change of the logits. It begins as 0, so that the likelihood begins as `Bernoulli`. The channels of a
    pixel are independent given the pixels before it.

    Args:
        image_shape: (channels, height, width), set from the data.
        features: feature maps per channel.
        kernel_size: side of the square around a pixel of which the earlier pixels are seen; odd.

    Raises:
        ValueError: a size is below 1, or `kernel_size` is even, below 3, or reaches beyond the image from every pixel.
    """

    binary_only = True
    sequential = True

    def __init__(self, image_shape: tuple[int, int, int], features: int = 16, kernel_size: int = 7) -> None:
        check_sizes(features=features)
        largest = 2 * max(image_shape[1:]) + 1
        if kernel_size > largest:
            raise ValueError(f"kernel_size is {kernel_size}; it must be at most {largest}, which covers the image")
        super().__init__()
        self.channels = image_shape[0]
        self.parameters_per_value = 1 + features
        width = features * self.channels
        self.context = CausalConv2d(self.channels, width, kernel_size)
        self.mixing = nn.Conv2d(width, width, 1)
        self.change = nn.Conv2d(width, self.channels, 1, bias=False)
        nn.init.zeros_(self.change.weight)
        self.pixel = Bernoulli()

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """See Likelihood; the parameters are logits, then feature maps. Grey levels are rounded to 0 or 1."""
        x = torch.round(x)
        return self.pixel.log_prob(self.logits(parameters, x), x)

    def logits(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Logits of p(x_i | x_<i, z), (..., images, channels, height, width), for the arguments of `log_prob`."""
        logits, features = parameters.tensor_split([self.channels], dim=-3)
        hidden = F.relu(self.context(x) + features)
        hidden = hidden.reshape(-1, *hidden.shape[-3:])
        return logits + self.change(F.relu(self.mixing(hidden))).reshape(logits.shape)

    def parameters_of_mean(self, mean: Tensor) -> Tensor:
        """See Likelihood; the feature maps are 0."""
        return torch.cat([self.pixel.parameters_of_mean(mean), mean.new_zeros(self.context.out_channels)])

    def mean(self, parameters: Tensor) -> Tensor:
        """Estimate E[x|z] from one image drawn from p(x|z), which has no closed form: p(x_i = 1 | x_<i, z).

        Over draws its expectation is E[x|z]. The draws are fixed, and the same for all images: equal parameters give
        equal results. The pixels are computed one after the other, without gradients.
        """
        generator = torch.Generator().manual_seed(0)
        draws = torch.rand(self.channels, *parameters.shape[-2:], generator=generator)
        return self.sample_with_probabilities(parameters, draws.to(parameters.device))[1]

    def estimate_mean(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """See Likelihood; p(x_i = 1 | x_<i, z) along one image for each code."""
        shape = (*parameters.shape[:-3], self.channels, *parameters.shape[-2:])
        draws = torch.rand(shape, generator=generator, device=generator.device)
        return self.sample_with_probabilities(parameters, draws.to(parameters.device))[1]

    def sample_binary(self, parameters: Tensor, draws: Tensor) -> Tensor:
        """See Likelihood; the pixels are drawn one after the other, without gradients."""
        return self.sample_with_probabilities(parameters, draws)[0]

    @torch.no_grad()
    def sample_with_probabilities(self, parameters: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Draw images from p(x|z), pixel after pixel: a pixel is 1 if its draw is below its probability.

        Args:
            parameters: as of `log_prob`.
            draws: uniform in [0, 1), of a shape that expands to (..., images, channels, height, width).

        Returns:
            The images, and the probabilities p(x_i = 1 | x_<i, z) that they were drawn with, both of that shape.
        """
        shape = (*parameters.shape[:-3], self.channels, *parameters.shape[-2:])
        parameters = parameters.reshape(-1, *parameters.shape[-3:])
        draws = draws.expand(shape).reshape(-1, *shape[-3:])
        x, probabilities = parameters.new_zeros(draws.shape), parameters.new_zeros(draws.shape)
        reach = self.context.reach
        for row, column in itertools.product(range(shape[-2]), range(shape[-1])):
            # All that the pixel sees.
            window = ..., slice(max(0, row - reach), row + 1), slice(max(0, column - reach), column + reach + 1)
            here = ..., row, column
            probabilities[here] = self.logits(parameters[window], x[window])[..., -1, min(column, reach)].sigmoid()
            x[here] = (draws[here] < probabilities[here]).to(x.dtype)
        return x.reshape(shape), probabilities.reshape(shape)


class CausalConv2d(nn.Conv2d):
    """Convolution over the pixels before each pixel, in raster order: van den Oord et al. (2016), "Pixel Recurrent
    Neural Networks", section 3.4, mask A. The image keeps its size, and is surrounded by 0.

    Args:
        inputs, outputs: numbers of channels.
        kernel_size: side of the square around the pixel, odd; its rows below the pixel are left out.

    Raises:
        ValueError: `kernel_size` is even or below 3.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, kernel_size: int) -> None:
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}; it must be odd, and 3 or more")
        super().__init__(inputs, outputs, (kernel_size // 2 + 1, kernel_size))
        self.reach = kernel_size // 2
        mask = torch.ones(self.reach + 1, kernel_size)
        mask[-1, self.reach :] = 0  # the pixel and those right of it
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (self.reach, self.reach, self.reach, 0))
        return F.conv2d(padded, self.weight * self.mask, self.bias)
