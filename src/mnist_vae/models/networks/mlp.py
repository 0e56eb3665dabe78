"""Fully connected encoder and decoder."""

import itertools
import math

from torch import nn

from mnist_vae.models.networks.base import Network, activation_class, check_sizes


class MLP(Network):
    """Multilayer perceptrons: the encoder on flattened pixels, the decoder with the hidden layers in reverse order.

    Kingma & Welling (2014), appendix C. hidden_dims = [400] gives the 784-400-latent_dim network of
    scripts/notebook.py.

    Args:
        hidden_dims: widths of the encoder's hidden layers, from the image to the code.
        activation: nonlinearity after each hidden layer, a key of base.ACTIVATIONS.

    Raises:
        ValueError: a width is below 1, or the activation is unknown.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        parameters_per_value: int,
        hidden_dims: list[int],
        activation: str = "relu",
    ) -> None:
        super().__init__(image_shape, latent_dim, parameters_per_value)
        check_sizes(hidden_dims=hidden_dims)
        self.features = hidden_dims[-1]
        self.encoder = nn.Sequential(nn.Flatten(), *_layers([self.pixels, *hidden_dims], activation))
        self.decoder = nn.Sequential(
            *_layers([latent_dim, *reversed(hidden_dims)], activation),
            nn.Linear(hidden_dims[0], math.prod(self.output_shape)),
            nn.Unflatten(1, self.output_shape),
        )


def _layers(widths: list[int], activation: str) -> list[nn.Module]:
    """Linear layers of these widths, input first, each followed by the activation."""
    nonlinearity = activation_class(activation)
    layers: list[nn.Module] = []
    for width_in, width_out in itertools.pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nonlinearity()]
    return layers
