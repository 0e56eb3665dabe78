"""Residual convolutional encoder and decoder."""

import math

import torch
from torch import Tensor, nn

from mnist_vae.models.networks.base import Network, activation_class, check_sizes
from mnist_vae.models.networks.conv import KERNEL, PADDING, STRIDE, ChannelsLast


class ResNet(Network):
    """Stages of residual blocks, each at half the size of the one before; the decoder mirrors the encoder.

    The blocks are those of He et al. (2016), "Identity Mappings in Deep Residual Networks", figure 1b, without batch
    normalisation; instead they are initialised as the identity: Zhang et al. (2019), "Fixup Initialization", section 3.
    The decoder upsamples by sub-pixel convolutions: Shi et al. (2016), section 3.2.

    Args:
        channels: channels of each stage, from the image to the code; the first stage has half the image's size.
        blocks: number of residual blocks in each stage.
        activation: nonlinearity, a key of base.ACTIVATIONS.

    Raises:
        ValueError: a number of channels is below 1, `blocks` has another length than `channels` or a negative entry,
            or the activation is unknown.
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
        innermost = (channels[-1], *sizes[-1])
        self.features = math.prod(innermost)

        down: list[nn.Module] = [ChannelsLast()]
        up: list[nn.Module] = []
        encoder_inputs = [image_shape[0], *channels]
        decoder_outputs = [self.output_shape[0], *channels]
        for i, (width, count) in enumerate(zip(channels, blocks, strict=True)):
            image_height, image_width = sizes[i]
            down.append(nn.ZeroPad2d((0, image_width % 2, 0, image_height % 2)))
            down.append(nn.Conv2d(encoder_inputs[i], width, KERNEL, STRIDE, PADDING))
            down += [*(ResidualBlock(width, nonlinearity) for _ in range(count)), nonlinearity()]
            upsample = [nn.Conv2d(width, 4 * decoder_outputs[i], 3, padding=1), CroppedPixelShuffle(*sizes[i])]
            up = [*(ResidualBlock(width, nonlinearity) for _ in range(count)), nonlinearity(), *upsample, *up]
        self.encoder = nn.Sequential(*down, nn.Flatten())
        unflatten = nn.Unflatten(1, innermost)
        self.decoder = nn.Sequential(nn.Linear(latent_dim, self.features), unflatten, ChannelsLast(), *up)
        self.to(memory_format=torch.channels_last)


class ResidualBlock(nn.Module):
    """x + f(x), f being two 3x3 convolutions, each after a nonlinearity; initialised as the identity.

    Args:
        channels: channels of x (n, channels, height, width) and of the result.
        nonlinearity: class of the activation.
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


class CroppedPixelShuffle(nn.Module):
    """Pixel shuffle by a factor of 2, cropped to a size: (n, 4 c, h, w) -> (n, c, height, width).

    Equal to a crop of torch's PixelShuffle(2), whose backward pass fails on an empty batch: with several processes,
    one may have no image of the last batch.

    Args:
        height, width: size of the result; twice that of the input, or one less.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        images, channels, height, width = x.shape
        squares = x.reshape(images, channels // 4, 2, 2, height, width).permute(0, 1, 4, 2, 5, 3)
        shuffled = squares.reshape(images, channels // 4, 2 * height, 2 * width)
        return shuffled[..., : self.height, : self.width].contiguous(memory_format=torch.channels_last)
