"""Residual convolutional encoder and decoder."""

import torch
from torch import Tensor, nn

from mnist_vae.models.networks.base import Network, activation_class, check_sizes
from mnist_vae.models.networks.conv import KERNEL, PADDING, STRIDE, ChannelsLast


class ResNet(Network):
    """Stages, each at half the size of the one before and with residual blocks of its own, and the mirror image.

    The blocks are those of He et al. (2016), "Identity Mappings in Deep Residual Networks", figure 1b, without batch
    normalisation: they start as the identity instead, as in Zhang et al. (2019), "Fixup Initialization", section 3.
    Images grow by sub-pixel convolutions: Shi et al. (2016), section 3.2.

    Args:
        channels: width of each stage, from the image inwards; the first is at half the image's size.
        blocks: residual blocks of each stage.
        activation: nonlinearity.

    Raises:
        ValueError: a width below 1, a negative number of blocks or not one for each stage, or an unknown activation.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        parameters_per_value: int,
        channels: list[int],
        blocks: list[int],
        activation: str = "relu",
    ) -> None:
        super().__init__(image_shape, latent_dim, parameters_per_value)
        check_sizes(channels=channels)
        if len(blocks) != len(channels) or min(blocks) < 0:
            raise ValueError(f"blocks is {blocks}; it must be a number, 0 or more, for each of {len(channels)} stages")
        nonlinearity = activation_class(activation)
        sizes = [image_shape[1:]]
        for _ in channels:
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        inner = (channels[-1], *sizes[-1])
        self.features = inner[0] * inner[1] * inner[2]

        down: list[nn.Module] = [ChannelsLast()]
        up: list[nn.Module] = []
        outside = [image_shape[0], *channels]
        produced = [self.output_shape[0], *channels]
        for i, (width, count) in enumerate(zip(channels, blocks, strict=True)):
            height, width_of_image = sizes[i]
            down.append(nn.ZeroPad2d((0, width_of_image % 2, 0, height % 2)))
            down.append(nn.Conv2d(outside[i], width, KERNEL, STRIDE, PADDING))
            down += [*(Residual(width, nonlinearity) for _ in range(count)), nonlinearity()]
            larger = [nn.Conv2d(width, 4 * produced[i], 3, padding=1), Grow(*sizes[i])]
            up = [*(Residual(width, nonlinearity) for _ in range(count)), nonlinearity(), *larger, *up]
        self.encoder = nn.Sequential(*down, nn.Flatten())
        self.decoder = nn.Sequential(nn.Linear(latent_dim, self.features), nn.Unflatten(1, inner), ChannelsLast(), *up)
        self.to(memory_format=torch.channels_last)


class Residual(nn.Module):
    """x + two 3x3 convolutions of x, each after a nonlinearity; at first the identity.

    Args:
        channels: of x (n, channels, height, width) and of the result.
        nonlinearity: its class.
    """

    def __init__(self, channels: int, nonlinearity: type[nn.Module]) -> None:
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, padding=1)
        assert last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        first = nn.Conv2d(channels, channels, 3, padding=1)
        self.change = nn.Sequential(nonlinearity(), first, nonlinearity(), last)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.change(x)


class Grow(nn.Module):
    """Four channels to the four pixels of a square of one, cut to a size: (n, 4 c, h, w) to (n, c, height, width).

    As torch's PixelShuffle, whose gradient fails for a process that has no image of a batch.

    Args:
        height, width: of the result; twice those of x, or one less.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        images, channels, height, width = x.shape
        squares = x.reshape(images, channels // 4, 2, 2, height, width).permute(0, 1, 4, 2, 5, 3)
        grown = squares.reshape(images, channels // 4, 2 * height, 2 * width)
        return grown[..., : self.height, : self.width].contiguous(memory_format=torch.channels_last)
