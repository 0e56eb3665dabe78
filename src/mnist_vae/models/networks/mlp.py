"""Fully connected encoder and decoder."""

import itertools
import math

from torch import nn

from mnist_vae.models.networks.base import Network, activation_class, check_sizes


class MLP(Network):
    """Flattened pixels through hidden layers, and back through the same layers in reverse.

    Kingma & Welling (2014), appendix C; with hidden_dims = [400] the notebook's 784-400-latent.

    Args:
        hidden_dims: widths of the encoder's hidden layers, from the image inwards.
        activation: nonlinearity after each hidden layer.

    Raises:
        ValueError: a width below 1, or an unknown activation.
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
        inwards, outwards = list(hidden_dims), list(reversed(hidden_dims))
        self.features = inwards[-1]
        self.encoder = nn.Sequential(nn.Flatten(), *_layers([self.pixels, *inwards], activation))
        self.decoder = nn.Sequential(
            *_layers([latent_dim, *outwards], activation),
            nn.Linear(outwards[-1], math.prod(self.output_shape)),
            nn.Unflatten(1, self.output_shape),
        )


def _layers(widths: list[int], activation: str) -> list[nn.Module]:
    nonlinearity = activation_class(activation)
    layers: list[nn.Module] = []
    for width_in, width_out in itertools.pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nonlinearity()]
    return layers
