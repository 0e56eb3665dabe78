import pytest
import torch

from mnist_vae.models.networks.base import ACTIVATIONS, Network, activation_class, check_sizes
from mnist_vae.models.networks.conv import Conv
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.networks.resnet import ResNet

SIZES = {
    MLP: {"hidden_dims": [12, 8]},
    Conv: {"channels": [4, 6], "hidden_dim": 10},
    ResNet: {"channels": [4, 6], "blocks": [1, 2]},
}


@pytest.mark.parametrize("network", [MLP, Conv, ResNet])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 13, 9), (2, 4, 5)])
@pytest.mark.parametrize("parameters_per_value", [1, 2])
def test_output_shapes(network: type[Network], shape: tuple[int, int, int], parameters_per_value: int):
    net = network(shape, 5, parameters_per_value, **SIZES[network])
    assert net.encoder(torch.rand(3, *shape)).shape == (3, net.features)
    assert net.decoder(torch.rand(3, 5)).shape == (3, parameters_per_value * shape[0], *shape[1:])


@pytest.mark.parametrize("network", [MLP, Conv, ResNet])
def test_an_empty_batch_can_be_decoded_and_differentiated(network: type[Network]) -> None:
    net = network((1, 8, 8), 5, 1, **SIZES[network])
    out = net.decoder(torch.rand(0, 5))
    out.sum().backward()
    assert out.shape == (0, 1, 8, 8)


@pytest.mark.parametrize(
    ("network", "sizes", "message"),
    [
        (MLP, {"hidden_dims": []}, "hidden_dims is \\[\\]"),
        (MLP, {"hidden_dims": [4, 0]}, "hidden_dims is \\[4, 0\\]"),
        (MLP, {"hidden_dims": [4], "activation": "rleu"}, "activation is 'rleu'; choose one of .*relu"),
        (Conv, {"channels": [4], "hidden_dim": 0}, "hidden_dim is 0"),
        (Conv, {"channels": [1] * 6, "hidden_dim": 4}, "6 layers"),
        (
            ResNet,
            {"channels": [4], "blocks": [1, 1]},
            "blocks is .1, 1.; it must be a number, 0 or more, for each of 1 stages",
        ),
        (ResNet, {"channels": [4], "blocks": [-1]}, "blocks is .-1"),
    ],
)
def test_invalid_arguments_raise(network: type[Network], sizes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network((1, 28, 28), 5, 1, **sizes)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_classes_by_name(name: str) -> None:
    assert activation_class(name).__name__.lower() == name.replace("_", "")


def test_check_sizes_accepts_sizes_of_one_or_more() -> None:
    check_sizes(width=1, channels=[3, 1])


@pytest.mark.parametrize("value", [0, -2, [], [4, 0]])
def test_check_sizes_names_the_argument(value: int | list[int]) -> None:
    with pytest.raises(ValueError, match=r"^channels is "):
        check_sizes(width=1, channels=value)


def test_pixels_include_channels() -> None:
    assert Network((3, 4, 5), latent_dim=2, parameters_per_value=2).pixels == 60
