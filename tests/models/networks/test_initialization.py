"""Initial weights: their variances by the formula, and what the network computes with them."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mnist_vae.models.likelihoods import Bernoulli, ContinuousBernoulli, DiscretizedLogistic, Gaussian, Likelihood
from mnist_vae.models.networks.base import Network
from mnist_vae.models.networks.conv import Conv
from mnist_vae.models.networks.initialization import activation_gain, fan_in, he, layers_with_gains
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.networks.resnet import ResNet
from mnist_vae.models.posteriors import Diagonal, FullCovariance, Ladder
from mnist_vae.models.priors import Hierarchical, StandardNormal
from mnist_vae.models.vae import VAE

NETWORKS: dict[str, tuple[type[Network], dict[str, Any]]] = {
    "mlp": (MLP, {"hidden_dims": [300, 200]}),
    "conv": (Conv, {"channels": [16, 32], "hidden_dim": 128}),
    "resnet": (ResNet, {"channels": [16, 32], "blocks": [1, 1]}),
}
SHAPE = (2, 12, 10)
MEAN = torch.tensor([0.1, 0.6])


def vae(name: str, likelihood: Likelihood | None = None, classes: int = 0, **given: Any) -> VAE:
    torch.manual_seed(0)
    likelihood = likelihood or Bernoulli()
    kind, arguments = NETWORKS[name]
    network = kind(SHAPE, 8 + classes, likelihood.parameters_per_value, **arguments)
    made = VAE(network, likelihood, StandardNormal(8), Diagonal(network.features, 8), classes)
    he(made, **given)
    return made


@pytest.mark.parametrize(
    ("activation", "gain"),
    [(nn.ReLU(), math.sqrt(2)), (nn.LeakyReLU(0.01), math.sqrt(2 / (1 + 0.01**2))), (nn.Tanh(), 1.5925)],
    ids=["relu", "leaky relu", "tanh"],
)
def test_the_gain_keeps_the_mean_square(activation: nn.Module, gain: float) -> None:
    assert activation_gain(activation) == pytest.approx(gain, rel=1e-4)  # He et al. (2015), equations 10 and 15


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (nn.Linear(7, 3), 7),
        (nn.Conv2d(4, 6, 3, groups=2), 2 * 9),
        (nn.ConvTranspose2d(4, 6, 4, stride=2), 4 * 16 / 4),
        (nn.ConvTranspose2d(4, 6, (4, 2), stride=(2, 1), groups=2), 2 * 8 / 2),
    ],
)
def test_fan_in_is_the_number_of_inputs_of_an_output(layer: nn.Module, inputs: float) -> None:
    assert fan_in(layer) == inputs


def test_the_gain_of_a_layer_is_that_of_the_next_activation() -> None:
    network = nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 3), nn.Flatten(), nn.ReLU(), nn.Linear(3, 4))
    network.append(network[1])  # the same activation at a second place
    network.extend([nn.Linear(4, 5), nn.Softmax()])
    found = [(layer.out_features, round(gain, 3)) for layer, gain in layers_with_gains(network)]
    assert found == [(2, 1.593), (3, 1.414), (4, 1.593), (5, 1.414)]


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_have_the_variance_of_the_formula_and_biases_are_0(name: str) -> None:
    made = vae(name)
    layers = [*layers_with_gains(made.encoder), *layers_with_gains(made.decoder)]
    layers[-1] = layers[-1][0], 0.1
    layers += [(layer, 1.0) for layer, _ in layers_with_gains(made.to_posterior)]
    assert len(layers) >= 5
    for layer, gain in layers:
        if layer.weight.any():
            expected, count = gain / math.sqrt(fan_in(layer)), layer.weight.numel()
            # The standard deviation of a sample's is σ / sqrt(2 n).
            assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=5 / math.sqrt(2 * count))
        assert not layer.bias.any()


def test_residual_branches_still_begin_as_the_identity() -> None:
    zero = [layer for layer, _ in layers_with_gains(vae("resnet").decoder) if not layer.weight.any()]
    assert len(zero) == 2


@pytest.mark.parametrize("likelihood", [Bernoulli(), ContinuousBernoulli(), Gaussian(), DiscretizedLogistic()])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_decoder_begins_as_the_mean_pixel(name: str, likelihood: Likelihood) -> None:
    made = vae(name, likelihood, mean_pixel=MEAN, output_gain=0.0)
    decoded = made.decode(torch.randn(3, 8))
    assert torch.allclose(decoded, MEAN[:, None, None].expand(3, *SHAPE), atol=1e-4)


@pytest.mark.parametrize("mean", [0.0, 0.1307, 0.5, 0.9, 1.0])
def test_the_bias_is_the_logit_of_the_mean(mean: float) -> None:
    found = float(Bernoulli().parameters_of_mean(torch.tensor([mean])))
    bounded = min(max(mean, 1 / (1 + math.exp(10))), 1 / (1 + math.exp(-10)))
    assert found == pytest.approx(math.log(bounded / (1 - bounded)), abs=1e-3)


@pytest.mark.parametrize("mean", [0.1, 0.5, 0.8])
def test_the_first_parameter_of_a_gaussian_is_the_mean(mean: float) -> None:
    assert float(Gaussian().parameters_of_mean(torch.tensor([mean]))) == pytest.approx(mean, abs=1e-6)


def test_further_parameters_are_0() -> None:
    parameters = DiscretizedLogistic().parameters_of_mean(MEAN)
    assert parameters.shape == (4,) and parameters[2:].tolist() == [0, 0] and parameters[:2].all()


@pytest.mark.parametrize("name", NETWORKS)
def test_features_keep_their_size(name: str) -> None:
    made = vae(name)
    x = torch.randn(200, *SHAPE)  # of mean square 1
    with torch.no_grad():
        features, z = made.encoder(x), torch.randn(200, 8)
        hidden: list[Tensor] = []
        last = [layer for layer, _ in layers_with_gains(made.decoder)][-1]
        last.register_forward_pre_hook(lambda module, inputs: hidden.append(inputs[0]))
        made.decoder(z)
    for values in (features, hidden[0]):
        assert 0.4 < float(values.square().mean()) < 2.5  # PyTorch's own: below 0.05


def test_the_layers_of_a_ladder_have_the_gain_of_their_activation_and_its_heads_1() -> None:
    prior = Hierarchical(40, layers=3)
    ladder = VAE(MLP((1, 8, 8), 40, 1, hidden_dims=[300]), Bernoulli(), prior, Ladder(300, 40, prior, hidden_dim=300))
    he(ladder)
    deeper = [each[0] for each in ladder.to_posterior.deeper]
    for layers, gain in ((ladder.to_posterior.heads, 1), (deeper, math.sqrt(2))):
        for layer in layers:
            assert layer.weight.std().item() * math.sqrt(300) == pytest.approx(gain, rel=0.05)


def test_the_layer_of_a_full_covariance_has_a_gain_of_1() -> None:
    torch.manual_seed(0)
    network = MLP(SHAPE, 8, 1, [300])
    made = VAE(network, Bernoulli(), StandardNormal(8), FullCovariance(network.features, 8))
    he(made)
    weight = made.to_posterior.weight.detach()
    assert float(weight.std()) == pytest.approx(1 / math.sqrt(300), rel=5 / math.sqrt(2 * weight.numel()))


def test_a_conditional_vae_and_one_without_biases_are_initialised_too() -> None:
    assert vae("mlp", classes=10, mean_pixel=MEAN).decode(torch.randn(2, 8), torch.tensor([1, 2])).isfinite().all()
    made = vae("mlp")
    made.decoder = nn.Sequential(nn.Linear(8, 240, bias=False), nn.Unflatten(1, SHAPE))
    he(made, MEAN, output_gain=0.0)
    assert not made.decoder[0].weight.any()


def test_a_decoder_without_such_layers_keeps_its_weights() -> None:
    made = vae("mlp")
    made.decoder = nn.Sequential(nn.Unflatten(1, (8, 1)), nn.Conv1d(8, 240, 1), nn.Flatten(), nn.Unflatten(1, SHAPE))
    before = made.decoder[1].weight.clone()
    he(made, MEAN)
    assert torch.equal(made.decoder[1].weight, before)


def test_the_bias_of_a_layer_that_makes_a_part_of_the_parameters_is_0() -> None:
    made = vae("mlp", DiscretizedLogistic())
    made.decoder = nn.Sequential(nn.Linear(8, 240), nn.Unflatten(1, SHAPE))  # means, beside a scale of its own
    he(made, MEAN)
    assert not made.decoder[0].bias.any() and made.decoder[0].weight.any()


def test_frozen_weights_are_kept() -> None:
    made = vae("mlp")
    made.encoder[1].requires_grad_(False)
    before = [parameter.clone() for parameter in (*made.encoder[1].parameters(), made.encoder[3].weight)]
    he(made, MEAN)
    kept = [
        torch.equal(a, b) for a, b in zip(before, (*made.encoder[1].parameters(), made.encoder[3].weight), strict=True)
    ]
    assert kept == [True, True, False]
