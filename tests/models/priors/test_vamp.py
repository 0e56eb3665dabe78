import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn

from mnist_vae.models.posteriors import Constant, Coupling, Diagonal, FullCovariance
from mnist_vae.models.priors import StandardNormal, VampPrior
from mnist_vae.models.vae import VAE
from tests.models.helpers import SHAPE, small_vae
from tests.models.priors.helpers import IMAGE_SHAPE, random_vamp, vae_with_prior


def test_a_fixed_prior_has_no_gradient_in_the_encoder() -> None:
    prior = random_vamp(3, Coupling)
    z = torch.randn(4, 3).double().requires_grad_()
    torch.testing.assert_close(prior.fixed().log_prob(z), prior.log_prob(z))
    found = torch.autograd.grad(prior.fixed().log_prob(z).sum(), z)[0]
    assert found.any() and all(not tensor.requires_grad for tensor in prior.fixed().components[:3])
    assert not any(parameter.requires_grad for parameter in prior.fixed().components.flow.parameters())


def test_initial_pseudo_inputs_have_the_configured_mean_and_std() -> None:
    images = VampPrior(2, (3, 8, 8), components=50).pseudo_inputs
    assert images.shape == (50, 3, 8, 8)
    assert images.mean().item() == pytest.approx(0.05, abs=1e-3)
    assert images.std().item() == pytest.approx(0.01, abs=1e-3)


def test_pseudo_inputs_can_start_from_images() -> None:
    prior, images = VampPrior(2, (1, 2, 2), components=3), torch.arange(12).reshape(3, 1, 2, 2)
    prior.start_from((20 * images).to(torch.uint8))
    torch.testing.assert_close(prior.pseudo_inputs.detach(), 20 * images / 255)


def test_pseudo_inputs_are_clamped_and_only_gradients_towards_the_range_pass() -> None:
    prior = VampPrior(2, (1, 1, 5), components=1)
    prior.unbounded.data = torch.tensor([[[[-0.5, -0.5, 0.3, 1.5, 1.5]]]])
    gradient = torch.tensor([-1.0, 1.0, 1.0, 1.0, -1.0])  # gradient descent moves in the opposite direction
    images = prior.pseudo_inputs
    (images * gradient).sum().backward()
    assert images.flatten().tolist() == pytest.approx([0, 0, 0.3, 1, 1])
    assert prior.unbounded.grad.flatten().tolist() == [-1, 0, 1, 1, 0]


@pytest.mark.parametrize("family", [Constant, Diagonal, FullCovariance])
def test_components_are_the_posteriors_of_the_pseudo_inputs(family: type[nn.Module]) -> None:
    prior = VampPrior(3, IMAGE_SHAPE, components=4)
    vae = vae_with_prior(prior, family)
    for mine, encoded in zip(prior.components, vae.encode(prior.pseudo_inputs), strict=True):
        assert torch.equal(mine, encoded)
    prior.log_prob(torch.randn(5, 3)).sum().backward()
    assert all(parameter.grad is not None for parameter in [*vae.encoder.parameters(), *vae.to_posterior.parameters()])


def test_only_pseudo_inputs_are_added_to_the_parameters() -> None:
    prior = VampPrior(3, IMAGE_SHAPE, components=4)
    vae = vae_with_prior(prior)
    assert [name for name, _ in prior.named_parameters()] == ["unbounded"]
    assert [*prior.children()] == []
    plain = vae_with_prior(StandardNormal(3))
    assert vae.count_parameters() == plain.count_parameters() + 4 * 16
    assert vae.state_dict().keys() - plain.state_dict().keys() == {"prior.unbounded"}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda vae: pickle.loads(pickle.dumps(vae))])
def test_the_prior_of_a_copied_vae_is_bound_to_the_copy(copied: Callable[[VAE], VAE]) -> None:
    vae, z = vae_with_prior(VampPrior(3, IMAGE_SHAPE, components=4)), torch.randn(5, 3)
    before = vae.prior.log_prob(z)
    other = copied(vae)
    assert torch.equal(other.prior.log_prob(z), before)
    nn.init.constant_(other.to_posterior.bias, 1.0)
    assert torch.equal(vae.prior.log_prob(z), before)
    assert not torch.allclose(other.prior.log_prob(z), before)


def test_log_prob_without_an_encoder_raises() -> None:
    with pytest.raises(ValueError, match="build the VAE with it"):
        VampPrior(2, IMAGE_SHAPE).log_prob(torch.zeros(1, 2))


def test_a_fixed_prior_has_the_same_density_and_encodes_pseudo_inputs_once() -> None:
    vae = small_vae(prior=VampPrior(3, SHAPE, components=4))
    z, calls = torch.randn(5, 3), []
    encode = vae.prior._encode
    vae.prior.bind(lambda x: calls.append(len(x)) or encode(x))
    fixed = vae.prior.fixed()
    torch.testing.assert_close(fixed.log_prob(z), vae.prior.log_prob(z))
    assert calls == [4, 4]
    fixed.log_prob(z)
    assert calls == [4, 4]
    assert StandardNormal(3).fixed().log_prob(z).shape == (5,)
