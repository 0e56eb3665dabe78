"""Initial weights of a VAE's encoder, decoder and posterior layer."""

import math
from typing import TypeAlias

import torch
from torch import Tensor, nn

from mnist_vae.models.flows import MaskedLinear
from mnist_vae.models.networks.base import ACTIVATIONS
from mnist_vae.models.vae import VAE

Weighted: TypeAlias = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
FURTHER = (nn.CELU, nn.Hardswish, nn.Hardtanh, nn.Mish, nn.SELU, nn.Sigmoid)
ELEMENTWISE: tuple[type[nn.Module], ...] = (*ACTIVATIONS.values(), *FURTHER)
GRID = torch.linspace(-10, 10, 20_001, dtype=torch.float64)  # over which the normal density is integrated


@torch.no_grad()
def he(vae: VAE, mean_pixel: Tensor | None = None, output_gain: float = 0.1) -> None:
    """Draw weights with which features keep their size from layer to layer, and the decoder starts as the mean pixel.

    Each weight is N(0, gain² / fan-in): He et al. (2015), "Delving Deep into Rectifiers", equation 10, with the gain of
    the activation that follows the layer; where none of ELEMENTWISE does, as in a network that calls functions, that of
    ReLU, √2; and 1 for the layers of the posterior's parameters, its `heads`. Biases are 0. Layers whose weights are
    frozen or all 0 stay as they are: the latter are residual branches that begin as the identity. The decoder's last
    layer is scaled down, and its bias set so that p(x|z) has the mean pixel: a decoder that does not use z yet.

    With PyTorch's own initialisation the features shrink from layer to layer, so that the reconstruction hardly depends
    on z at first, and the KL term makes the posterior collapse before the decoder can use it.

    Args:
        vae: changed in place. Weights are drawn from torch's global generator.
        mean_pixel: mean of the training images, (channels,), in [0, 1]; if None, the last bias is 0.
        output_gain: gain of the decoder's last layer.

    Raises:
        ValueError: `output_gain` is negative or not finite.
    """
    if not 0 <= output_gain < math.inf:
        raise ValueError(f"output_gain is {output_gain}; it must be 0 or more, and finite")
    posterior = layers_with_gains(vae.to_posterior)
    heads = list(getattr(vae.to_posterior, "heads", vae.to_posterior.modules()))
    posterior = [(layer, 1.0 if any(layer is head for head in heads) else gain) for layer, gain in posterior]
    decoder = layers_with_gains(vae.decoder)
    last = decoder[-1][0] if decoder else None
    for layer, gain in (*layers_with_gains(vae.encoder), *posterior, *decoder):
        if layer.weight.requires_grad and layer.weight.any():
            layer.weight.normal_(std=(output_gain if layer is last else gain) / math.sqrt(fan_in(layer)))
        if layer.bias is not None and layer.bias.requires_grad:
            layer.bias.zero_()
    if last is not None and mean_pixel is not None:
        _set_output_bias(vae, last, mean_pixel)


def _set_output_bias(vae: VAE, last: Weighted, mean_pixel: Tensor) -> None:
    """Set the bias of the decoder's last layer, if that makes all of the likelihood's parameters."""
    channels = vae.likelihood.parameters_per_value * len(mean_pixel)
    outputs = channels * math.prod(vae.image_shape[1:])
    if last.bias is None or not hasattr(vae.likelihood, "parameters_of_mean"):
        return
    count = last.bias.numel()
    if count == outputs if isinstance(last, nn.Linear) else count % channels == 0:
        # The outputs of a fully connected layer, or of a convolution before a pixel shuffle, are grouped by channel.
        last.bias.copy_(vae.likelihood.parameters_of_mean(mean_pixel).repeat_interleave(count // channels))


def layers_with_gains(network: nn.Module) -> list[tuple[Weighted, float]]:
    """The layers that have weights, in their order, each with the gain of the next activation after it, or √2."""
    gain = math.sqrt(2)
    found: list[tuple[Weighted, float]] = []
    # With duplicates: one activation may stand at several places.
    for _, module in reversed(list(network.named_modules(remove_duplicate=False))):
        if isinstance(module, Weighted):
            found.append((module, gain))
        elif isinstance(module, ELEMENTWISE):
            gain = activation_gain(module)
    return found[::-1]


def activation_gain(activation: nn.Module) -> float:
    """1 / sqrt(E[f(x)²]) for x ~ N(0, 1), so that outputs of a unit normal input have a mean square of 1; √2 for ReLU.

    By the trapezoidal rule.
    """
    density = torch.exp(-0.5 * GRID.square()) / math.sqrt(2 * math.pi)
    return float(torch.trapezoid(activation(GRID).square() * density, GRID)) ** -0.5


def fan_in(layer: Weighted) -> float:
    """Number of inputs that each output of a layer sums over; where it is not the same for all, their mean number."""
    if isinstance(layer, MaskedLinear):
        return max(1.0, float(layer.mask.sum(dim=1).mean()))
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.in_channels / layer.groups * math.prod(layer.kernel_size) / math.prod(layer.stride)
    return float(layer.weight[0].numel())
