"""The autoregressive likelihood: a distribution, causal, and with images drawn from it."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from mnist_vae.analysis.importance_sampling import importance_weights
from mnist_vae.config.instantiate import instantiate
from mnist_vae.models.likelihoods import Autoregressive, Bernoulli
from mnist_vae.models.likelihoods.autoregressive import CausalConv2d
from mnist_vae.models.networks.initialization import he
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.priors import StandardNormal
from mnist_vae.models.vae import VAE
from tests.conftest import composed

FEATURES = 3
SHAPES = [(1, 2, 3), (2, 2, 2), (1, 6, 1)]


def likelihood(shape: tuple[int, int, int], kernel_size: int = 3, dtype: torch.dtype = torch.float64) -> Autoregressive:
    """With random weights, of which those of the last layer are not 0."""
    torch.manual_seed(0)
    made = Autoregressive(shape, FEATURES, kernel_size).to(dtype)
    nn.init.normal_(made.change.weight, std=2.0)
    return made


def parameters_for(shape: tuple[int, int, int], *leading: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    maps = (1 + FEATURES) * shape[0]
    return torch.randn(*leading, maps, *shape[1:], dtype=dtype, generator=generator)


def all_images(shape: tuple[int, int, int]) -> Tensor:
    """Every image of 0 and 1, (2^values, *shape)."""
    values = shape[0] * shape[1] * shape[2]
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=values)), dtype=torch.float64).reshape(-1, *shape)


def test_a_single_code_is_decoded() -> None:
    likelihood = Autoregressive((1, 3, 4), features=2, kernel_size=3)
    parameters = torch.randn(3, 3, 4)
    torch.testing.assert_close(likelihood.mean(parameters), likelihood.mean(parameters[None])[0])


def test_the_config_group_instantiates_the_class() -> None:
    made = instantiate("likelihood", composed("likelihood=autoregressive").likelihood, image_shape=(1, 28, 28))
    assert type(made) is Autoregressive and made.binary_only and made.sequential and not made.grey_only


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_probabilities_sum_to_one_over_all_images(shape: tuple[int, int, int], kernel_size: int) -> None:
    x = all_images(shape)
    parameters = parameters_for(shape, 1).expand(len(x), -1, -1, -1)
    log_prob = likelihood(shape, kernel_size).log_prob(parameters, x)
    assert log_prob.exp().sum().item() == pytest.approx(1, rel=1e-12)
    independent = Bernoulli().log_prob(parameters[:, : shape[0]], x)
    assert (log_prob - independent).abs().max() > 0.1  # it does depend on the other pixels


def test_a_logit_depends_on_all_earlier_pixels_in_reach_and_on_no_other() -> None:
    shape = 2, 5, 6
    made, parameters = likelihood(shape, kernel_size=3), parameters_for(shape, 1)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: made.logits(parameters, x), torch.rand(1, *shape, dtype=torch.float64)
    )
    depends = jacobian[0, :, :, :, 0].abs().amax(dim=(0, 3))  # (row, column) of the logit, then of the pixel
    for row, column, other_row, other_column in itertools.product(range(5), range(6), range(5), range(6)):
        earlier = (other_row, other_column) < (row, column)
        near = row - other_row <= 1 and abs(column - other_column) <= 1
        assert (depends[row, column, other_row, other_column] != 0) == (earlier and near)


def test_an_untrained_likelihood_is_that_of_independent_pixels() -> None:
    shape = 2, 4, 5
    made, parameters, x = Autoregressive(shape, FEATURES), parameters_for(shape, 3).float(), torch.rand(3, *shape)
    assert torch.equal(made.log_prob(parameters, x), Bernoulli().log_prob(parameters[:, :2], x.round()))
    torch.testing.assert_close(made.mean(parameters), Bernoulli().mean(parameters[:, :2]))


def test_every_weight_but_the_masked_has_a_gradient() -> None:
    shape = 1, 6, 6
    made = likelihood(shape)
    assert made.mixing.bias is not None
    nn.init.constant_(made.mixing.bias, 2.0)  # no unit is 0 everywhere
    made.log_prob(parameters_for(shape, 8), torch.rand(8, *shape, dtype=torch.float64)).sum().backward()
    for name, weight in made.named_parameters():
        assert weight.grad is not None
        expected = made.context.mask.expand_as(weight) if name == "context.weight" else torch.ones_like(weight)
        assert torch.equal(weight.grad != 0, expected != 0), name


@pytest.mark.parametrize("shape", SHAPES)
def test_sampled_images_have_the_enumerated_probabilities(shape: tuple[int, int, int]) -> None:
    count, x, made, parameters = 40_000, all_images(shape), likelihood(shape), parameters_for(shape, 1)
    draws = torch.rand(count, *shape, generator=torch.Generator().manual_seed(2))
    samples, probabilities = made.sample_with_probabilities(parameters.expand(count, -1, -1, -1), draws)
    expected = made.log_prob(parameters.expand(len(x), -1, -1, -1), x).exp()
    powers = 2 ** torch.arange(x[0].numel() - 1, -1, -1)
    found = torch.bincount((samples.flatten(1).long() * powers).sum(dim=1), minlength=len(x)) / count
    error = (expected * (1 - expected) / count).sqrt()
    assert ((found - expected).abs() < 5 * error + 1e-4).all()
    assert torch.equal(made.sample_binary(parameters.expand(count, -1, -1, -1), draws), samples)
    # The probabilities are those of the samples, and their mean is that of x: the estimate is unbiased.
    log_prob = Bernoulli().log_prob(torch.logit(probabilities), samples)
    torch.testing.assert_close(log_prob, made.log_prob(parameters.expand(count, -1, -1, -1), samples))
    mean = (expected[:, None, None, None] * x).sum(dim=0)
    assert (probabilities.mean(dim=0) - mean).abs().max() < 5 * 0.5 / count**0.5


@pytest.mark.parametrize("kernel_size", [3, 5, 11])
def test_the_window_of_each_pixel_holds_all_that_it_sees(kernel_size: int) -> None:
    """The sampled pixels' probabilities are those of one pass over the whole image."""
    shape = 2, 7, 8
    made, parameters = likelihood(shape, kernel_size), parameters_for(shape, 2, 3)
    samples, probabilities = made.sample_with_probabilities(parameters, torch.rand(2, 3, *shape, dtype=torch.float64))
    for k in range(2):
        torch.testing.assert_close(made.logits(parameters[k], samples[k]).sigmoid(), probabilities[k])


def test_the_mean_is_that_of_one_image_and_does_not_depend_on_the_others() -> None:
    shape = 2, 4, 5
    made, parameters = likelihood(shape), parameters_for(shape, 2, 3)
    state = torch.get_rng_state()
    mean = made.mean(parameters)
    assert torch.equal(state, torch.get_rng_state())
    assert mean.shape == (2, 3, *shape) and mean.min() >= 0 and mean.max() <= 1 and not mean.requires_grad
    torch.testing.assert_close(made.mean(parameters[1, 2][None])[0], mean[1, 2])
    assert not torch.allclose(mean, Bernoulli().mean(parameters[..., :2, :, :]), atol=0.05)


def test_estimates_of_the_mean_have_draws_of_their_own() -> None:
    """Equal parameters: their average is the mean over all images."""
    shape = 1, 2, 3
    made, parameters, x = likelihood(shape), parameters_for(shape, 1), all_images(shape)
    copies = 4000
    generator = torch.Generator().manual_seed(0)
    found = made.estimate_mean(parameters.expand(copies, -1, -1, -1), generator)
    assert found.shape == (copies, *shape) and not torch.equal(found[0], found[1])
    probabilities = made.log_prob(parameters.expand(len(x), -1, -1, -1), x).exp()
    expected = (probabilities[:, None, None, None] * x).sum(dim=0)
    torch.testing.assert_close(found.mean(dim=0), expected, atol=0.01, rtol=0)


def test_samples_of_a_vae_have_draws_of_their_own() -> None:
    """At temperature 0 all codes are equal."""
    vae = VAE(
        MLP((1, 6, 6), 3, 1 + FEATURES, [8], "relu"), likelihood((1, 6, 6), dtype=torch.float32), StandardNormal(3)
    )
    first, second = vae.sample(2, torch.Generator().manual_seed(0), temperature=0)
    assert not torch.allclose(first, second)
    again, decoded = (vae.sample(2, torch.Generator().manual_seed(0), temperature=0), vae.decode(torch.zeros(2, 3)))
    assert torch.equal(again[0], first) and torch.equal(*decoded)


def test_leading_dimensions_equal_a_loop() -> None:
    shape = 2, 4, 5
    made, parameters = likelihood(shape), parameters_for(shape, 2, 3, 6)
    x = torch.rand(6, *shape, dtype=torch.float64).round()
    log_prob = made.log_prob(parameters, x)
    assert log_prob.shape == (2, 3, 6)
    for i, j in itertools.product(range(2), range(3)):
        torch.testing.assert_close(log_prob[i, j], made.log_prob(parameters[i, j], x))


def test_no_images_are_a_batch_too() -> None:
    """In several processes, one may have no image of the last batch."""
    shape = 1, 4, 5
    made, parameters = likelihood(shape), parameters_for(shape, 0).requires_grad_()
    log_prob = made.log_prob(parameters, torch.zeros(0, *shape, dtype=torch.float64))
    assert log_prob.shape == (0,)
    log_prob.sum().backward()
    assert made.mean(parameters).shape == (0, *shape)


def test_grey_levels_are_rounded() -> None:
    shape = 1, 4, 5
    made, parameters, x = likelihood(shape), parameters_for(shape, 3), torch.rand(3, *shape, dtype=torch.float64)
    assert torch.equal(made.log_prob(parameters, x), made.log_prob(parameters, x.round()))


@pytest.mark.parametrize("classes", [0, 3])
def test_the_estimate_of_the_likelihood_equals_quadrature(classes: int) -> None:
    """With one latent dimension, log p(x) is an integral; and p(x) is a distribution over all images."""
    torch.manual_seed(0)
    shape = 1, 2, 2
    made = likelihood(shape, dtype=torch.float32)
    network = MLP(shape, 1 + classes, made.parameters_per_value, [8])
    vae = VAE(network, made, StandardNormal(1), classes=classes).eval()
    x = all_images(shape).float()
    labels = torch.full((len(x),), 2)
    z = torch.linspace(-8, 8, 2001)[:, None, None].expand(-1, len(x), 1)
    with torch.no_grad():
        log_joint = made.log_prob(vae.decode_parameters(z, labels), x) + vae.prior.log_prob(z)
    expected = torch.logsumexp(log_joint.double(), dim=0) + torch.tensor(16 / 2000).double().log()
    assert expected.exp().sum().item() == pytest.approx(1, abs=1e-4)
    weights = importance_weights(vae, x, labels, k=2000, seed=0)
    error = weights.monte_carlo_error
    assert (error < 0.1).all() and ((weights.log_likelihood - expected).abs() < 5 * error + 1e-4).all()


def test_the_decoder_begins_as_the_mean_pixel() -> None:
    torch.manual_seed(0)
    shape, mean = (2, 4, 5), torch.tensor([0.1, 0.6])
    made = Autoregressive(shape, FEATURES)
    vae = VAE(MLP(shape, 4, made.parameters_per_value, [8]), made, StandardNormal(4))
    he(vae, mean, output_gain=0.0)
    decoded = vae.decode(torch.randn(3, 4))
    assert torch.allclose(decoded, mean[:, None, None].expand(3, *shape), atol=1e-4)


@pytest.mark.parametrize("kernel_size", [1, 4, -3])
def test_the_kernel_must_be_odd(kernel_size: int) -> None:
    with pytest.raises(ValueError, match=f"kernel_size is {kernel_size}; it must be odd, and 3 or more"):
        CausalConv2d(1, 1, kernel_size)


def test_there_must_be_features() -> None:
    with pytest.raises(ValueError, match="features is 0"):
        Autoregressive((1, 4, 4), features=0)
