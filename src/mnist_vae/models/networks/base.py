"""Base class of the encoder-decoder architectures."""

import math

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


class Network(nn.Module):
    """Encoder and decoder for images of one shape. A subclass sets:

    - `encoder`: images (n, channels, height, width) -> features (n, `features`);
    - `decoder`: codes (n, latent_dim) -> (n, parameters_per_value * channels, height, width);
    - `features`: width of the encoder's output.

    Args:
        image_shape: (channels, height, width), set from the data.
        latent_dim: number of latent dimensions; a conditional VAE adds its number of classes.
        parameters_per_value: decoder outputs per value of the image, set by the likelihood (1 for Bernoulli).
    """

    encoder: nn.Module
    decoder: nn.Module
    features: int

    def __init__(self, image_shape: tuple[int, int, int], latent_dim: int, parameters_per_value: int) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.latent_dim = latent_dim
        channels, height, width = image_shape
        self.output_shape = (parameters_per_value * channels, height, width)

    @property
    def pixels(self) -> int:
        """Number of values in one image, channels included."""
        return math.prod(self.image_shape)


def activation_class(name: str) -> type[nn.Module]:
    """Return the module class of an activation.

    Raises:
        ValueError: `name` is not a key of ACTIVATIONS.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation is {name!r}; choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def check_sizes(**sizes: int | list[int]) -> None:
    """Check that every size is at least 1 and that no list of sizes is empty.

    Raises:
        ValueError: naming the argument and its value.
    """
    for name, value in sizes.items():
        values = [value] if isinstance(value, int) else value
        if not values or min(values) < 1:
            raise ValueError(f"{name} is {value}; sizes must be 1 or more, and at least one is needed")
