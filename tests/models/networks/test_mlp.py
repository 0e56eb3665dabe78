import torch
from torch import nn

from mnist_vae.models.networks.mlp import MLP


def test_layers_of_the_notebook_configuration() -> None:
    net = MLP((1, 28, 28), 20, 1, [400])
    linear = [(m.in_features, m.out_features) for m in net.modules() if isinstance(m, nn.Linear)]
    assert linear == [(784, 400), (20, 400), (400, 784)]
    assert sum(isinstance(m, nn.ReLU) for m in net.modules()) == 2


def test_the_decoder_has_the_hidden_layers_in_reverse_order() -> None:
    net = MLP((1, 4, 4), 3, 1, [12, 8])
    widths = [(m.in_features, m.out_features) for m in net.modules() if isinstance(m, nn.Linear)]
    assert widths == [(16, 12), (12, 8), (3, 8), (8, 12), (12, 16)]


def test_the_encoder_is_a_function_of_flattened_pixels() -> None:
    net, x = MLP((2, 3, 4), 3, 1, [5], activation="tanh"), torch.rand(7, 2, 3, 4)
    linear = net.encoder[1]
    torch.testing.assert_close(net.encoder(x), torch.tanh(x.flatten(1) @ linear.weight.T + linear.bias))


def test_the_last_layer_has_no_activation() -> None:
    torch.manual_seed(0)
    net = MLP((1, 4, 4), 3, 1, [8], activation="softplus")
    assert net.decoder(torch.randn(50, 3)).min() < 0
