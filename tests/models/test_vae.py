from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mnist_vae.models.networks.base import Network
from mnist_vae.models.networks.conv import Conv
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.networks.resnet import ResNet
from mnist_vae.models.posteriors import Constant, Diagonal, FullCovariance
from mnist_vae.models.priors import VampPrior
from mnist_vae.models.vae import VAE
from mnist_vae.utils.seeding import Noise
from tests.models.helpers import SHAPE, linear_gaussian_vae, small_vae


@pytest.mark.parametrize("network", [MLP, Conv, ResNet])
def test_shapes_and_ranges_of_the_interface(network: type[Network]) -> None:
    vae, x = small_vae(network), torch.rand(7, *SHAPE)
    mean, log_var = vae.encode(x)
    assert mean.shape == log_var.shape == (7, 3)
    for images, count in ((vae.decode(mean), 7), (vae.reconstruct(x), 7), (vae.sample(4), 4)):
        assert images.shape == (count, *SHAPE)
        assert images.min() >= 0 and images.max() <= 1
    assert torch.equal(vae.reconstruct(x), vae.decode(mean))
    assert vae.count_parameters() == sum(p.numel() for p in vae.parameters())


def test_samples_depend_on_the_generator() -> None:
    vae = small_vae()
    one, two = (vae.sample(3, torch.Generator().manual_seed(9)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, vae.sample(3, torch.Generator().manual_seed(10)))


@pytest.mark.parametrize("network", [MLP, Conv, ResNet])
def test_elbo_gradients_equal_finite_differences(network: type[Network]) -> None:
    vae = small_vae(network).double()
    for module in vae.modules():  # smooth activations, for finite differences
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Tanh())
            if isinstance(child, nn.Conv2d):
                nn.init.normal_(child.weight, std=0.3)  # a residual block starts as the identity
    x = torch.rand(2, *SHAPE, dtype=torch.float64)
    names, values = zip(*vae.named_parameters(), strict=True)

    def negative_elbo(*weights: Tensor) -> Tensor:
        def terms(module: VAE) -> Tensor:
            return torch.stack(module.elbo_terms(x, Noise(2, generator=torch.Generator().manual_seed(0)))).sum()

        return torch.func.functional_call(
            Terms(vae, terms), {f"vae.{n}": w for n, w in zip(names, weights, strict=True)}, ()
        )

    assert torch.autograd.gradcheck(negative_elbo, values, fast_mode=True)


@pytest.mark.slow
def test_a_hook_on_the_codes_sees_the_decoders_gradient_in_compiled_code_too() -> None:
    """Estimators of gradients depend on it, such as the doubly reparameterised one."""
    found = []
    for compiled in (False, True):
        vae = small_vae()
        if compiled:
            vae.infer_from = torch.compile(vae.infer_from, backend="aot_eager")  # type: ignore[method-assign]
        _, z, log_likelihood, _ = vae.infer(torch.ones(2, *SHAPE), Noise(2, generator=torch.Generator().manual_seed(0)))
        z.register_hook(lambda gradient: 2 * gradient)
        (gradient,) = torch.autograd.grad(log_likelihood.sum(), vae.to_posterior.bias)
        found.append(gradient)
    torch.testing.assert_close(*found)
    assert found[0].abs().sum() > 0


@pytest.mark.parametrize("posterior", [Constant, Diagonal, FullCovariance])
def test_leading_dimensions_are_samples(posterior: Any) -> None:
    vae, x = small_vae(posterior=posterior, classes=4), torch.rand(5, *SHAPE)
    labels = torch.tensor([3, 0, 1, 2, 2])
    inference = vae.infer(x, Noise(5, generator=torch.Generator().manual_seed(0)), 2, 6, labels=labels)
    assert inference.z.shape == (2, 6, 5, 3) and inference.log_likelihood.shape == (2, 6, 5)
    assert vae.decode(inference.z, labels).shape == (2, 6, 5, *SHAPE)
    alone = vae.likelihood.log_prob(vae.decode_parameters(inference.z[1, 4], labels), x)
    torch.testing.assert_close(inference.log_likelihood[1, 4], alone)


def test_a_conditional_vae_depends_on_its_labels() -> None:
    vae, x, z = small_vae(classes=4), torch.rand(2, *SHAPE), torch.randn(2, 3)
    one, other = torch.tensor([0, 1]), torch.tensor([0, 2])
    for function in (lambda labels: vae.encode(x, labels).mean, lambda labels: vae.decode(z, labels)):
        first, second = function(one), function(other)
        torch.testing.assert_close(first[0], second[0])
        assert not torch.allclose(first[1], second[1], atol=1e-3)


def test_a_conditional_vae_requires_labels_and_an_unconditional_one_ignores_them() -> None:
    with pytest.raises(ValueError, match="labels are required"):
        small_vae(classes=4).sample(2)
    plain, x = small_vae(), torch.rand(2, *SHAPE)
    assert torch.equal(plain.reconstruct(x), plain.reconstruct(x, torch.tensor([0, 1])))


class Terms(nn.Module):
    """Module whose forward pass is a function of the VAE, for functional_call."""

    def __init__(self, vae: VAE, function) -> None:
        super().__init__()
        self.vae, self.function = vae, function

    def forward(self) -> Tensor:
        return self.function(self.vae)


def mean_elbo(vae: VAE, x: Tensor, draws: int = 20_000) -> tuple[Tensor, Tensor]:
    """Mean ELBO of each image over many samples, and its standard error."""
    many = x.repeat_interleave(draws, dim=0)
    with torch.no_grad():
        reconstruction, kl = vae.elbo_terms(many, Noise(len(many), generator=torch.Generator().manual_seed(0)))
    elbo = -(reconstruction + kl).reshape(len(x), draws)
    return elbo.mean(1), elbo.std(1) / draws**0.5


def test_the_elbo_is_below_the_exact_log_likelihood() -> None:
    vae, x, exact = linear_gaussian_vae(tight=False)
    elbo, error = mean_elbo(vae, x)
    assert (elbo + 4 * error < exact).all()


def test_the_elbo_of_the_exact_posterior_is_the_log_likelihood() -> None:
    vae, x, exact = linear_gaussian_vae(tight=True)
    elbo, error = mean_elbo(vae, x)
    assert ((elbo - exact).abs() < 4 * error).all()
    assert (error < 0.02).all()


def test_a_label_is_given_to_the_decoder_as_long_as_a_typical_code() -> None:
    vae, given = small_vae(classes=4), []
    vae.decoder.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    vae.decode_parameters(torch.zeros(2, 3), torch.tensor([1, 3]))
    assert torch.allclose(given[0][:, 3:], 3**0.5 * torch.eye(4)[[1, 3]])


def test_weights_saved_when_it_had_the_length_one_decode_as_they_did() -> None:
    vae, given = small_vae(classes=4), []
    older = {name: value for name, value in vae.state_dict().items() if name != "label_scale"}
    vae.load_state_dict(older)
    vae.decoder.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    vae.decode_parameters(torch.zeros(1, 3), torch.tensor([2]))
    assert given[0][0, 3:].tolist() == [0, 0, 1, 0]
    again = small_vae(classes=4)
    again.load_state_dict(vae.state_dict())
    assert again.label_scale == 1


def test_another_prior_is_bound_to_the_encoder_and_changes_samples_and_the_kl_alone() -> None:
    vae, x, prior = small_vae(), torch.rand(7, *SHAPE), VampPrior(3, SHAPE, components=4)
    noise = [Noise(7, generator=torch.Generator().manual_seed(0)) for _ in range(2)]
    reconstruction, kl = vae.elbo_terms(x, noise[0])
    vae.use_prior(prior)
    same, other = vae.elbo_terms(x, noise[1])
    assert torch.equal(reconstruction, same) and not torch.equal(kl, other)
    assert torch.equal(prior.components.mean, vae.encode(prior.pseudo_inputs).mean)
    drawn = prior.sample(5, torch.Generator().manual_seed(1))
    torch.testing.assert_close(vae.sample(5, torch.Generator().manual_seed(1)), vae.decode(drawn).detach())
