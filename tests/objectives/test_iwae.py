"""IWAE on the linear-Gaussian VAE, whose log p(x) has a closed form; see tests/models/helpers.py."""

import itertools

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from mnist_vae.models.vae import VAE
from mnist_vae.objectives import IWAE
from mnist_vae.utils.seeding import Noise
from tests.models.helpers import linear_gaussian_vae


def losses(objective: IWAE, vae: VAE, x: Tensor, draws: int, seed: int = 0) -> Tensor:
    """The loss of each image, (images, draws)."""
    many = x.repeat_interleave(draws, dim=0)
    noise = Noise(len(many), generator=torch.Generator().manual_seed(seed))
    return objective(vae, many, None, 0.0, noise).loss.reshape(len(x), draws)


@pytest.mark.parametrize(("k", "m"), [(1, 1), (5, 1), (1, 3), (4, 2)])
@pytest.mark.parametrize("doubly", [False, True])
def test_the_loss_equals_its_definition(k: int, m: int, doubly: bool) -> None:
    vae, x, _ = linear_gaussian_vae(tight=False)
    noise = torch.randn(6, m, k, 2, generator=torch.Generator().manual_seed(3))
    draws = Noise(6, generator=torch.Generator().manual_seed(3))
    loss, reconstruction, kl = IWAE(k, m, doubly)(vae, x, None, 0.0, draws)
    mean, log_var = vae.encode(x)
    scale = (0.5 * log_var).exp()
    expected = []
    for i in range(6):
        bounds = []
        for j in range(m):
            z = mean[i] + scale[i] * noise[i, j]
            log_weight = (
                Normal(vae.decode(z).flatten(1), 1.0).log_prob(x[i].flatten()).sum(1)
                + Normal(0.0, 1.0).log_prob(z).sum(1)
                - Normal(mean[i], scale[i]).log_prob(z).sum(1)
            )
            bounds.append(log_weight.exp().mean().log())
        expected.append(-torch.stack(bounds).mean())
    torch.testing.assert_close(loss, torch.stack(expected))
    torch.testing.assert_close(kl, vae.prior.kl(vae.encode(x)).detach())
    assert reconstruction.shape == (6,) and not reconstruction.requires_grad


def test_the_bound_increases_with_k_up_to_the_log_likelihood() -> None:
    vae, x, exact = linear_gaussian_vae(tight=False)
    with torch.no_grad():
        bounds = [-losses(IWAE(k), vae, x, 20_000) for k in (1, 2, 4, 32)]
    for looser, tighter in itertools.pairwise(bounds):
        error = (looser.var(1) / 20_000 + tighter.var(1) / 20_000).sqrt()
        assert (looser.mean(1) < tighter.mean(1) + 4 * error).all()
    assert (bounds[0].mean(1) < bounds[-1].mean(1) - 0.1).all()
    assert (bounds[-1].mean(1) < exact + 4 * bounds[-1].std(1) / 20_000**0.5).all()


def test_the_mean_of_several_elbos_has_less_variance() -> None:
    vae, x, _ = linear_gaussian_vae(tight=False)
    with torch.no_grad():
        one, many = losses(IWAE(1, 1), vae, x, 20_000), losses(IWAE(1, 8), vae, x, 20_000, seed=1)
    error = (one.var(1) / 20_000 + many.var(1) / 20_000).sqrt()
    assert ((one.mean(1) - many.mean(1)).abs() < 4 * error).all()
    torch.testing.assert_close(many.var(1) * 8, one.var(1), rtol=0.1, atol=0.0)


def gradients(objective: IWAE, seed: int, draws: int = 200, blocks: int = 100) -> dict[str, Tensor]:
    """Gradients of the mean loss by parameter, (blocks, …), each block with other samples."""
    vae, x, _ = linear_gaussian_vae(tight=False)
    found: dict[str, list[Tensor]] = {name: [] for name, _ in vae.named_parameters()}
    for block in range(blocks):
        vae.zero_grad()
        losses(objective, vae, x, draws, seed * blocks + block).mean().backward()
        for name, parameter in vae.named_parameters():
            assert parameter.grad is not None
            found[name].append(parameter.grad.clone())
    return {name: torch.stack(values) for name, values in found.items()}


def test_both_gradient_estimators_have_the_same_mean_and_the_doubly_reparameterized_one_less_variance() -> None:
    plain, doubly = gradients(IWAE(8), seed=0), gradients(IWAE(8, doubly_reparameterized=True), seed=1)
    for name, one in plain.items():
        other = doubly[name]
        error = ((one.var(0) + other.var(0)) / len(one)).sqrt()
        assert ((one.mean(0) - other.mean(0)).abs() < 4.5 * error + 1e-12).all(), name
    encoder = "to_posterior.weight"
    assert doubly[encoder].var(0).sum() < 0.5 * plain[encoder].var(0).sum()
    # The decoder's gradient is the same in both estimators.
    name = "decoder.0.weight"
    torch.testing.assert_close(
        gradients(IWAE(8, doubly_reparameterized=True), 0, 10, 2)[name], gradients(IWAE(8), 0, 10, 2)[name]
    )


def test_with_the_exact_posterior_the_doubly_reparameterized_gradient_is_zero() -> None:
    vae, x, _ = linear_gaussian_vae(tight=True)
    losses(IWAE(1, doubly_reparameterized=True), vae, x, 1).sum().backward()
    # At the exact posterior log p(x, z) - log q(z|x) is constant in z, so this estimator has no variance.
    assert vae.to_posterior.weight.grad is not None
    assert vae.to_posterior.weight.grad.abs().max() < 1e-10


@pytest.mark.parametrize(("k", "m"), [(0, 1), (1, 0), (-3, 1)])
def test_counts_below_one_raise(k: int, m: int) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        IWAE(k, m)


def test_with_the_exact_posterior_every_bound_is_tight() -> None:
    vae, x, exact = linear_gaussian_vae(tight=True)
    for k in (1, 7):
        torch.testing.assert_close(-losses(IWAE(k), vae, x, 3), exact[:, None].expand(6, 3))
