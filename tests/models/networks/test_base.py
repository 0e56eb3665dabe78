import pytest
import torch
from torch import nn

from mnist_vae.models.networks.base import Network
from mnist_vae.models.networks.conv import Conv
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.networks.resnet import Grow, Residual, ResNet

SIZES = {
    MLP: {"hidden_dims": [12, 8]},
    Conv: {"channels": [4, 6], "hidden_dim": 10},
    ResNet: {"channels": [4, 6], "blocks": [1, 2]},
}


@pytest.mark.parametrize("network", [MLP, Conv, ResNet])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 13, 9), (2, 4, 5)])
@pytest.mark.parametrize("parameters_per_value", [1, 2])
def test_shapes_follow_the_images(network: type[Network], shape: tuple[int, int, int], parameters_per_value: int):
    net = network(shape, 5, parameters_per_value, **SIZES[network])
    assert net.encoder(torch.rand(3, *shape)).shape == (3, net.features)
    assert net.decoder(torch.rand(3, 5)).shape == (3, parameters_per_value * shape[0], *shape[1:])


@pytest.mark.parametrize("network", [MLP, Conv, ResNet])
def test_an_empty_share_of_a_batch_passes(network: type[Network]) -> None:
    net = network((1, 8, 8), 5, 1, **SIZES[network])
    out = net.decoder(torch.rand(0, 5))
    out.sum().backward()
    assert out.shape == (0, 1, 8, 8)


def test_the_notebooks_mlp() -> None:
    net = MLP((1, 28, 28), 20, 1, [400])
    linear = [(m.in_features, m.out_features) for m in net.modules() if isinstance(m, nn.Linear)]
    assert linear == [(784, 400), (20, 400), (400, 784)]
    assert sum(isinstance(m, nn.ReLU) for m in net.modules()) == 2


def test_hidden_layers_are_mirrored() -> None:
    net = MLP((1, 4, 4), 3, 1, [12, 8])
    widths = [(m.in_features, m.out_features) for m in net.modules() if isinstance(m, nn.Linear)]
    assert widths == [(16, 12), (12, 8), (3, 8), (8, 12), (12, 16)]


def test_conv_computes_with_channels_last() -> None:
    net = Conv((1, 28, 28), 5, 1, [4, 6], 10)
    weights = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d) and m.in_channels > 1]
    assert weights and all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)


def test_growing_is_torchs_pixel_shuffle_cut_to_size() -> None:
    x = torch.randn(3, 8, 5, 4)
    torch.testing.assert_close(Grow(9, 8)(x), nn.PixelShuffle(2)(x)[:, :, :9])


def test_a_residual_block_starts_as_the_identity() -> None:
    block, x = Residual(4, nn.ReLU), torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)
    block.change[3].weight.data.normal_()
    torch.testing.assert_close(block(x), x + block.change(x))


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
def test_bad_sizes_are_named(network: type[Network], sizes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network((1, 28, 28), 5, 1, **sizes)
