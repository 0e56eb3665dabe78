"""The ladder posterior against closed forms: of products of Gaussians, and of a linear-Gaussian hierarchy."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from mnist_vae.models.likelihoods import Bernoulli
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.models.posteriors import Ladder, LadderPosterior, detached, mapped
from mnist_vae.models.priors import Flow, Hierarchical, StandardNormal
from mnist_vae.models.vae import VAE
from tests.models.priors.helpers import randomised


def random_ladder(layers: int = 3, images: int = 4) -> LadderPosterior:
    prior = randomised(Hierarchical(6, layers, hidden_dim=8))
    assert isinstance(prior, Hierarchical)
    layer = randomised(Ladder(5, 6, prior, hidden_dim=7))
    features = torch.randn(images, 5, generator=torch.Generator().manual_seed(0)).double()
    posterior = layer.posterior(features, torch.float64)
    assert isinstance(posterior, LadderPosterior)
    return posterior


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("leading", [(), (5,), (2, 3)])
def test_the_density_of_samples_is_that_of_their_codes(layers: int, leading: tuple[int, ...]) -> None:
    posterior, noise = random_ladder(layers), torch.randn(*leading, 4, 6).double()
    z, log_q = posterior.rsample_and_log_prob(noise)
    assert torch.equal(z, posterior.rsample(noise))
    torch.testing.assert_close(posterior.log_prob(z), log_q)
    first = noise.reshape(-1, 4, 6)[0]
    matrix = torch.autograd.functional.jacobian(posterior.rsample, first)[0, :, 0]
    expected = Normal(0.0, 1.0).log_prob(first[0]).sum() - torch.linalg.slogdet(matrix).logabsdet
    torch.testing.assert_close(log_q.reshape(-1, 4)[0, 0], expected)


def test_pairwise_densities_are_of_each_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_vae.models.posteriors.ladder.MAX_PAIRS", 48)  # two codes at once
    posterior, z = random_ladder(), torch.randn(5, 6).double()
    found = posterior.log_prob_pairwise(z)
    for i in range(4):
        one = mapped(posterior, lambda part, i=i: part[i : i + 1])
        torch.testing.assert_close(found[:, i], torch.stack([one.log_prob(code[None])[0] for code in z]))


def test_it_can_be_the_exact_posterior_of_a_linear_hierarchy() -> None:
    """z_1 ~ N(0, 1), z_2 = a z_1 + b e, x = z_2 + s e: the encoder says N(x, s²) of z_2, and p(z_1|x) of z_1."""
    a, b, s, x = 0.75, 0.5, 0.25, 1.25  # exact in float32
    prior = Hierarchical(2, layers=2).double()
    prior.networks[0] = nn.Linear(1, 2).double()
    prior.networks[0].weight.data = torch.tensor([[a], [0.0]]).double()
    prior.networks[0].bias.data = torch.tensor([0.0, 2 * math.log(b)], dtype=torch.float64)
    total = a**2 + b**2 + s**2  # the variance of x
    means, variances = (
        torch.tensor([row], dtype=torch.float64) for row in ([a / total * x, x], [1 - a**2 / total, s**2])
    )
    posterior = LadderPosterior(means, variances.log(), prior)
    covariance = torch.tensor([[1, a], [a, a**2 + b**2]]).double()
    gain = covariance[:, 1] / total
    exact = MultivariateNormal(gain * x, covariance - total * torch.outer(gain, gain))
    z = torch.randn(9, 1, 2).double()
    torch.testing.assert_close(posterior.log_prob(z), exact.log_prob(z))
    torch.testing.assert_close(posterior.mean[0], exact.mean)
    # Of 64 draws: the standard error of a log-variance is sqrt(2 / 64).
    assert (posterior.log_var[0] - exact.variance.log()).abs().max() < 5 * math.sqrt(2 / 64)


def test_the_kl_is_in_closed_form_given_the_groups_above() -> None:
    """Its mean over samples is that of log q(z|x) - log p(z), and it varies less."""
    posterior = random_ladder(layers=2)
    prior = posterior.prior
    noise = torch.randn(40_000, 4, 6, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        z, log_q = posterior.rsample_and_log_prob(noise)
        found, estimate = prior.kl(posterior, z, log_q), log_q - prior.log_prob(z)
    error = (found.var(dim=0) / len(noise) + estimate.var(dim=0) / len(noise)).sqrt()
    assert ((found.mean(dim=0) - estimate.mean(dim=0)).abs() < 5 * error).all()
    assert (found.var(dim=0) < estimate.var(dim=0)).all()
    top = Hierarchical(6, layers=1).double()
    single = posterior._replace(prior=top)
    expected = kl_divergence(Normal(single.encoded_mean, (0.5 * single.encoded_log_var).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(top.kl(single, z[0]), expected.sum(dim=1))


def test_the_kl_of_each_group_is_that_of_its_gaussians() -> None:
    """In a hierarchy that is a chain of two dimensions, with numbers for which both KLs are computed by hand."""
    prior = Hierarchical(2, layers=2).double()
    prior.networks[0] = nn.Linear(1, 2).double()  # p(z_2|z_1) = N(z_1/2, 1)
    prior.networks[0].weight.data = torch.tensor([[0.5], [0.0]]).double()
    prior.networks[0].bias.data = torch.zeros(2).double()
    posterior = LadderPosterior(torch.tensor([[1.0, 3.0]]).double(), torch.tensor([[-1.0, 0.0]]).double(), prior)
    z = torch.tensor([[4.0, 7.0]]).double()  # q(z_2|x, z_1) = N((3 + 2)/2, 1/2)
    expected = [0.5 * (math.exp(-1) + 1 - 1 + 1), 0.5 * (0.5 + 0.25 - 1 + math.log(2))]
    torch.testing.assert_close(posterior.kl_by_group(z)[:, 0], torch.tensor(expected).double())


def test_an_encoder_that_says_nothing_leaves_the_prior() -> None:
    posterior = random_ladder()
    vague = posterior._replace(encoded_log_var=torch.full_like(posterior.encoded_log_var, 60.0))
    z = torch.randn(4, 6).double()
    prior, top = posterior.prior, posterior.prior.groups[0]
    below = prior.log_prob(z) - Normal(0.0, 1.0).log_prob(z[:, top]).sum(dim=1)
    of_top = Normal(vague.encoded_mean[:, top], math.exp(30)).log_prob(z[:, top]).sum(dim=1)
    torch.testing.assert_close(vague.log_prob(z) - of_top, below)


def test_parameters_are_the_layers_own() -> None:
    prior = Hierarchical(4, layers=2)
    layer = Ladder(5, 4, prior)
    assert not {id(p) for p in prior.parameters()} & {id(p) for p in layer.parameters()}
    assert not any("prior" in name for name in layer.state_dict())


def test_a_vae_with_another_prior_keeps_that_of_its_ladder() -> None:
    vae = VAE(MLP((1, 4, 4), 4, 1, hidden_dims=[6]), Bernoulli(), prior := Hierarchical(4), Ladder(6, 4, prior))
    x, before = torch.rand(3, 1, 4, 4), len(vae.state_dict())
    mean = vae.encode(x).mean
    vae.use_prior(Flow(4))
    vae.requires_grad_(False)
    assert torch.equal(vae.encode(x).mean, mean) and not vae.encode(x).mean.requires_grad
    assert sum(name.startswith("to_posterior.prior.") for name in vae.state_dict()) == len(prior.state_dict()) < before


def test_a_detached_ladder_has_a_gradient_at_the_code_only() -> None:
    posterior, z = random_ladder(), torch.randn(4, 6).double().requires_grad_()
    detached(posterior).log_prob(z).sum().backward()
    assert z.grad is not None and all(parameter.grad is None for parameter in posterior.prior.parameters())


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match="hidden_dim is 0"):
        Ladder(5, 4, Hierarchical(4), hidden_dim=0)
    with pytest.raises(ValueError, match="choose prior=hierarchical"):
        Ladder(5, 4, StandardNormal(4))  # type: ignore[arg-type]


def test_computed_in_full_precision_under_mixed_precision() -> None:
    posterior = random_ladder()
    posterior = mapped(posterior._replace(prior=posterior.prior.float()), Tensor.float)
    noise = torch.randn(4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        found = posterior.rsample_and_log_prob(noise)
    assert all(map(torch.equal, found, posterior.rsample_and_log_prob(noise)))
