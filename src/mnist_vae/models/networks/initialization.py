"""Initial weights of a VAE's encoder, decoder and posterior layer."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from mnist_vae.models.networks.base import ACTIVATIONS

if TYPE_CHECKING:
    from mnist_vae.models.vae import VAE

Weighted: TypeAlias = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
GRID = torch.linspace(-10, 10, 20_001, dtype=torch.float64)  # over which the normal density is integrated


@torch.no_grad()
def he(vae: "VAE", mean_pixel: Tensor | None = None, output_gain: float = 0.1) -> None:
    """Draw weights with which features keep their size from layer to layer, and the decoder starts as the mean pixel.

    Each weight is N(0, gain² / fan-in): He et al. (2015), "Delving Deep into Rectifiers", equation 10, with the gain of
    the activation that follows the layer, and 1 for the layer of the posterior's parameters. Biases are 0. Layers whose
    weights are all 0 stay so: residual branches that begin as the identity. The decoder's last layer is scaled down,
    and its bias set so that p(x|z) has the mean pixel, which is the best decoder that does not use z.

    With PyTorch's own initialisation the features shrink from layer to layer, so that the reconstruction hardly depends
    on z at first, and the KL term makes the posterior collapse before the decoder can use it.

    Args:
        vae: changed in place. Weights are drawn from torch's global generator.
        mean_pixel: mean of the training images, (channels,), in [0, 1]; if None, the last bias is 0.
        output_gain: gain of the decoder's last layer.
    """
    for network, last_gain in ((vae.encoder, 1.0), (vae.to_posterior, 1.0), (vae.decoder, output_gain)):
        for layer, gain in layers_with_gains(network, last_gain):
            if layer.weight.any():
                layer.weight.normal_(std=gain / math.sqrt(fan_in(layer)))
            if layer.bias is not None:
                layer.bias.zero_()
    *_, (last, _) = layers_with_gains(vae.decoder)
    if mean_pixel is not None and last.bias is not None:
        parameters = vae.likelihood.parameters_of_mean(mean_pixel)
        # The outputs of a fully connected layer, or of a convolution before a pixel shuffle, are grouped by channel.
        last.bias.copy_(parameters.repeat_interleave(last.bias.numel() // parameters.numel()))


def layers_with_gains(network: nn.Module, last_gain: float = 1.0) -> Iterator[tuple[Weighted, float]]:
    """The layers that have weights, in their order, each with the gain of the next activation after it.

    Args:
        last_gain: for layers after which no activation follows.
    """
    gain = last_gain
    found: list[tuple[Weighted, float]] = []
    for module in reversed(list(network.modules())):
        if isinstance(module, tuple(ACTIVATIONS.values())):
            gain = activation_gain(module)
        elif isinstance(module, Weighted):
            found.append((module, gain))
    return reversed(found)


def activation_gain(activation: nn.Module) -> float:
    """1 / sqrt(E[f(x)²]) for x ~ N(0, 1), so that outputs of a unit normal input have a mean square of 1; √2 for ReLU.

    By the trapezoidal rule.
    """
    density = torch.exp(-0.5 * GRID.square()) / math.sqrt(2 * math.pi)
    return float(torch.trapezoid(activation(GRID).square() * density, GRID)) ** -0.5


def fan_in(layer: Weighted) -> float:
    """Number of inputs that each output of a layer sums over; for a transposed convolution their mean number."""
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.in_channels / layer.groups * math.prod(layer.kernel_size) / math.prod(layer.stride)
    return float(layer.weight[0].numel())
