import pytest
import torch
from torch import nn

from mnist_vae.models.networks.conv import ChannelsLast, Conv


def test_weights_are_in_channels_last_format() -> None:
    net = Conv((1, 28, 28), 5, 1, [4, 6], 10)
    weights = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d) and m.in_channels > 1]
    assert weights and all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)


@pytest.mark.parametrize(("size", "expected"), [((28, 28), [28, 14, 7]), ((13, 9), [13, 6, 3]), ((5, 4), [5, 2, 1])])
def test_each_convolution_halves_the_image_and_the_decoder_restores_its_size(
    size: tuple[int, int], expected: list[int]
) -> None:
    net = Conv((1, *size), 5, 1, [4, 6], 10)
    assert heights(net.encoder, torch.rand(2, 1, *size), nn.Conv2d) == expected[1:]
    assert heights(net.decoder, torch.rand(2, 5), nn.ConvTranspose2d) == expected[-2::-1]


def heights(network: nn.Module, x: torch.Tensor, kind: type[nn.Module]) -> list[int]:
    """Heights of the outputs of all layers of one kind."""
    found: list[int] = []
    for layer in network.modules():
        if isinstance(layer, kind):
            layer.register_forward_hook(lambda module, inputs, output: found.append(output.shape[2]))
    network(x)
    return found


def test_channels_last_changes_the_memory_format_only() -> None:
    x = torch.rand(2, 3, 4, 5)
    assert torch.equal(ChannelsLast()(x), x)
    assert ChannelsLast()(x).is_contiguous(memory_format=torch.channels_last)


def test_the_last_layer_has_no_activation() -> None:
    torch.manual_seed(0)
    net = Conv((1, 8, 8), 3, 1, [4], 10, activation="softplus")
    assert net.decoder(torch.randn(50, 3)).min() < 0


def test_an_image_too_small_to_be_halved_raises() -> None:
    with pytest.raises(ValueError, match=r"channels has 3 layers; each halves the image, and \(7, 9\) cannot be"):
        Conv((1, 7, 9), 3, 1, [4, 4, 4], 10)
