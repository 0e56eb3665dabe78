"""Convolutional encoder and decoder."""

import math

import torch
from torch import Tensor, nn

from mnist_vae.models.networks.base import Network, activation_class, check_sizes

KERNEL, STRIDE, PADDING = 4, 2, 1


class Conv(Network):
    """Strided convolutions that each halve the image, then a hidden layer; the decoder mirrors the encoder.

    The all-convolutional design of DCGAN, Radford et al. (2016), section 3, without batch normalisation.

    Args:
        channels: output channels of the encoder's convolutions, from the image to the code.
        hidden_dim: width of the fully connected layer before and after the latent code.
        activation: nonlinearity after each layer, a key of base.ACTIVATIONS.

    Raises:
        ValueError: a size is below 1, the activation is unknown, or the image is too small to be halved once per
            convolution.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        parameters_per_value: int,
        channels: list[int],
        hidden_dim: int,
        activation: str = "relu",
    ) -> None:
        super().__init__(image_shape, latent_dim, parameters_per_value)
        check_sizes(channels=channels, hidden_dim=hidden_dim)
        nonlinearity = activation_class(activation)
        sizes = _halved_sizes(image_shape[1:], len(channels))
        innermost = (channels[-1], *sizes[-1])
        flat = math.prod(innermost)
        self.features = hidden_dim

        down: list[nn.Module] = []
        for width_in, width_out in zip([image_shape[0], *channels], channels, strict=False):
            down += [nn.Conv2d(width_in, width_out, KERNEL, STRIDE, PADDING), nonlinearity()]
        self.encoder = nn.Sequential(ChannelsLast(), *down, nn.Flatten(), nn.Linear(flat, hidden_dim), nonlinearity())

        up: list[nn.Module] = [nn.Linear(latent_dim, hidden_dim), nonlinearity()]
        up += [nn.Linear(hidden_dim, flat), nonlinearity(), nn.Unflatten(1, innermost), ChannelsLast()]
        outputs = [self.output_shape[0], *channels]
        for i in reversed(range(len(channels))):
            # 1 where the encoder halved an odd size, rounding down; else 0.
            output_padding = (sizes[i][0] - 2 * sizes[i + 1][0], sizes[i][1] - 2 * sizes[i + 1][1])
            up += [
                nn.ConvTranspose2d(outputs[i + 1], outputs[i], KERNEL, STRIDE, PADDING, output_padding),
                nonlinearity(),
            ]
        self.decoder = nn.Sequential(*up[:-1])  # no nonlinearity after the last layer
        self.to(memory_format=torch.channels_last)


class ChannelsLast(nn.Module):
    """Conversion of a batch to the channels-last memory format, with which convolutions are faster on most devices."""

    def forward(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last)


def _halved_sizes(size: tuple[int, int], times: int) -> list[tuple[int, int]]:
    """(height, width) before and after each of `times` halvings, rounded down: `times` + 1 sizes."""
    sizes = [size]
    for _ in range(times):
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    if min(sizes[-1]) < 1:
        raise ValueError(f"channels has {times} layers; each halves the image, and {size} cannot be halved that often")
    return sizes
