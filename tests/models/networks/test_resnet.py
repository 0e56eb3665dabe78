import pytest
import torch
from torch import nn

from mnist_vae.models.networks.resnet import CroppedPixelShuffle, ResidualBlock, ResNet


def test_cropped_pixel_shuffle_equals_a_crop_of_torchs() -> None:
    x = torch.randn(3, 8, 5, 4)
    torch.testing.assert_close(CroppedPixelShuffle(9, 8)(x), nn.PixelShuffle(2)(x)[:, :, :9])


def test_a_residual_block_starts_as_the_identity() -> None:
    block, x = ResidualBlock(4, nn.ReLU), torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)
    block.change[3].weight.data.normal_()
    torch.testing.assert_close(block(x), x + block.change(x))


@pytest.mark.parametrize("blocks", [[0, 0], [1, 2]])
def test_residual_blocks_do_not_change_the_initial_outputs(blocks: list[int]) -> None:
    torch.manual_seed(0)
    net, x, z = ResNet((1, 9, 6), 3, 1, [4, 6], blocks), torch.rand(2, 1, 9, 6), torch.randn(2, 3)
    assert sum(isinstance(module, ResidualBlock) for module in net.modules()) == 2 * sum(blocks)
    before = net.encoder(x), net.decoder(z)
    for module in net.modules():
        if isinstance(module, ResidualBlock):
            nn.init.normal_(module.change[1].weight)  # has no effect: the last convolution is zero
    torch.testing.assert_close((net.encoder(x), net.decoder(z)), before)


def test_features_are_the_innermost_feature_map() -> None:
    assert ResNet((1, 28, 28), 5, 1, [4, 6, 8], [0, 0, 0]).features == 8 * 4 * 4  # 28, 14, 7 and, rounded up, 4
