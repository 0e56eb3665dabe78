"""Convolutional encoder and decoder."""

import torch
from torch import Tensor, nn

from mnist_vae.models.networks.base import Network, activation_class, check_sizes

KERNEL, STRIDE, PADDING = 4, 2, 1


class Conv(Network):
    """Strided convolutions, each halving the image, a hidden layer, and the mirror image of both.

    After DCGAN's all-convolutional design, Radford et al. (2016), section 3, without batch normalisation.

    Args:
        channels: output channels of the encoder's convolutions, from the image inwards.
        hidden_dim: width of the fully connected layer on either side of the latent code.
        activation: nonlinearity after each layer.

    Raises:
        ValueError: a size below 1, an unknown activation, or more halvings than the image has pixels.
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
        sizes = _halvings(image_shape[1:], len(channels))
        inner = (channels[-1], *sizes[-1])
        flat = inner[0] * inner[1] * inner[2]
        self.features = hidden_dim

        down: list[nn.Module] = []
        for width_in, width_out in zip([image_shape[0], *channels], channels, strict=False):
            down += [nn.Conv2d(width_in, width_out, KERNEL, STRIDE, PADDING), nonlinearity()]
        self.encoder = nn.Sequential(ChannelsLast(), *down, nn.Flatten(), nn.Linear(flat, hidden_dim), nonlinearity())

        up: list[nn.Module] = [nn.Linear(latent_dim, hidden_dim), nonlinearity()]
        up += [nn.Linear(hidden_dim, flat), nonlinearity(), nn.Unflatten(1, inner), ChannelsLast()]
        outputs = [self.output_shape[0], *channels]
        for i in reversed(range(len(channels))):
            odd = (sizes[i][0] - 2 * sizes[i + 1][0], sizes[i][1] - 2 * sizes[i + 1][1])
            up += [
                nn.ConvTranspose2d(outputs[i + 1], outputs[i], KERNEL, STRIDE, PADDING, odd),
                nonlinearity(),
            ]
        self.decoder = nn.Sequential(*up[:-1])
        self.to(memory_format=torch.channels_last)


class ChannelsLast(nn.Module):
    """Lays a batch of images out with channels innermost, which makes convolutions faster on most devices."""

    def forward(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last)


def _halvings(size: tuple[int, int], times: int) -> list[tuple[int, int]]:
    sizes = [size]
    for _ in range(times):
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    if min(sizes[-1]) < 1:
        raise ValueError(f"channels has {times} layers; each halves the image, and {size} can't be halved so often")
    return sizes
