"""PIWAE: the gradients of the encoder and of the generative model are those of two plain bounds."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from mnist_vae.models.networks.conv import Conv
from mnist_vae.models.posteriors import Diagonal, FullCovariance
from mnist_vae.models.priors import Flow, Mixture, Prior, StandardNormal, VampPrior
from mnist_vae.models.vae import VAE
from mnist_vae.objectives import IWAE, PIWAE
from mnist_vae.utils.seeding import Noise
from tests.models.helpers import SHAPE, linear_gaussian_vae, small_vae

K, M = 3, 4
MODEL = ("decoder.", "prior.", "likelihood.")


def noise(images: int) -> Noise:
    return Noise(images, generator=torch.Generator().manual_seed(3))


def gradients(vae: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    vae.zero_grad()
    loss.sum().backward()
    return {name: p.grad.clone() if p.grad is not None else torch.zeros_like(p) for name, p in vae.named_parameters()}


def plain_bound(vae: VAE, x: Tensor, labels: Tensor | None, groups: int, prior: Prior | None = None) -> Tensor:
    """The negative bound of the same samples, in `groups` groups, sample by sample from the definition.

    Args:
        prior: p(z), if it is not the VAE's.
    """
    draws = torch.randn(len(x), M, K, vae.latent_dim, generator=torch.Generator().manual_seed(3))
    log_weights = []
    for draw in draws.flatten(1, 2).unbind(1):
        posterior = vae.encode(x, labels)
        z = posterior.rsample(draw)
        log_p = vae.likelihood.log_prob(vae.decode_parameters(z, labels), x) + (prior or vae.prior).log_prob(z)
        log_weights.append(log_p - posterior.log_prob(z))
    grouped = torch.stack(log_weights).reshape(groups, -1, len(x))
    return -(grouped.exp().mean(dim=1).log().mean(dim=0))


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)  # of the noise too
    yield
    torch.set_default_dtype(torch.float32)


CASES = [
    (StandardNormal(3), Diagonal, 0),
    (Mixture(3, components=4), FullCovariance, 10),
    (Flow(3, layers=2, hidden_dim=4), Diagonal, 0),
]


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("prior", "posterior", "classes"), CASES, ids=["normal", "mixture", "flow"])
def test_each_part_has_the_gradient_of_its_own_bound(prior: Prior, posterior: type[Diagonal], classes: int) -> None:
    vae = small_vae(Conv, prior, posterior, classes).double()
    x = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.arange(5) if classes else None
    for parameter in vae.prior.parameters():  # so that the flow is not the identity
        nn.init.normal_(parameter, std=0.5)
    terms = PIWAE(K, M)(vae, x, labels, 0.0, noise(5))
    found = gradients(vae, terms.loss)
    iwae, miwae = plain_bound(vae, x, labels, 1), plain_bound(vae, x, labels, M)
    torch.testing.assert_close(terms.loss, iwae)
    of_model, of_encoder = gradients(vae, iwae), gradients(vae, miwae)
    for name, gradient in found.items():
        expected = of_model if name.startswith(MODEL) else of_encoder
        torch.testing.assert_close(gradient, expected[name], rtol=1e-7, atol=1e-10)
        assert gradient.abs().sum() > 0 and not torch.allclose(of_model[name], of_encoder[name], rtol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(PIWAE(K, M)(vae, x, labels, 0.0, noise(5)), type(terms)(*map(Tensor.detach, terms)))


@pytest.mark.usefixtures("double")
def test_what_a_prior_computes_by_the_encoder_has_the_gradient_of_the_model() -> None:
    vae = small_vae(prior=VampPrior(3, SHAPE, components=4)).double()
    x = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))
    found = gradients(vae, PIWAE(K, M)(vae, x, None, 0.0, noise(5)).loss)
    of_model, of_encoder = (
        gradients(vae, plain_bound(vae, x, None, 1)),
        gradients(vae, plain_bound(vae, x, None, M, prior=vae.prior.fixed())),
    )
    without_prior = gradients(vae, plain_bound(vae, x, None, 1, prior=vae.prior.fixed()))
    for name, gradient in found.items():
        expected = of_model[name]
        if not name.startswith(MODEL):
            expected = of_encoder[name] + of_model[name] - without_prior[name]
        torch.testing.assert_close(gradient, expected, rtol=1e-7, atol=1e-10)


def test_what_was_frozen_stays_frozen() -> None:
    vae = small_vae()
    first, *others = vae.decoder.parameters()
    first.requires_grad_(False)
    x = torch.rand(5, *SHAPE)
    PIWAE(K, M)(vae, x, None, 0.0, noise(5)).loss.sum().backward()
    assert first.grad is None and not first.requires_grad
    assert all(parameter.requires_grad and parameter.grad is not None for parameter in others)


def test_of_one_bound_it_is_the_iwae() -> None:
    vae, x, _ = linear_gaussian_vae(tight=False)
    one, other = (gradients(vae, make(vae, x, None, 0.0, noise(6)).loss) for make in (PIWAE(5, 1), IWAE(5)))
    for name, gradient in one.items():
        torch.testing.assert_close(gradient, other[name])


def test_the_doubly_reparameterized_encoder_has_the_gradient_of_the_miwae() -> None:
    vae, x, _ = linear_gaussian_vae(tight=False)
    piwae, miwae, plain = (
        gradients(vae, make(vae, x, None, 0.0, noise(6)).loss)
        for make in (PIWAE(K, M, True), IWAE(K, M, True), PIWAE(K, M))
    )
    for name, gradient in piwae.items():
        torch.testing.assert_close(gradient, (plain if name.startswith(MODEL) else miwae)[name])
    assert not torch.allclose(piwae["to_posterior.weight"], plain["to_posterior.weight"], rtol=0.01)


def test_the_encoders_signal_to_noise_ratio_falls_with_k_and_rises_with_m() -> None:
    """Rainforth et al. (2018), theorem 1: it is O(√(m/k))."""
    vae, x, _ = linear_gaussian_vae(tight=False)
    weight, many = vae.to_posterior.weight, 200
    ratios = {}
    for k, m in ((1, 1), (64, 1), (1, 64)):
        generator = torch.Generator().manual_seed(0)
        found = [
            torch.autograd.grad(PIWAE(k, m)(vae, x, None, 0.0, Noise(6, generator=generator)).loss.sum(), weight)[0]
            for _ in range(many)
        ]
        gradient = torch.stack(found)
        ratios[k, m] = float((gradient.mean(0).abs() / gradient.std(0)).mean())
    assert ratios[64, 1] < 0.75 * ratios[1, 1]
    assert ratios[1, 64] == pytest.approx(math.sqrt(64) * ratios[1, 1], rel=0.3)


@pytest.mark.parametrize(("k", "m"), [(0, 1), (1, 0)])
def test_counts_below_one_raise(k: int, m: int) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        PIWAE(k, m)
