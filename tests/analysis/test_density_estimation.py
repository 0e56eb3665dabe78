import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from mnist_vae.analysis.density_estimation import fit, log_likelihood
from mnist_vae.analysis.encoding import encode_images
from mnist_vae.analysis.evaluation import image_terms
from mnist_vae.models.posteriors import DiagonalGaussian
from mnist_vae.models.priors import Flow, Mixture, Prior, StandardNormal, VampPrior
from tests.models.helpers import SHAPE, random_split, small_vae

NONE = torch.zeros(5000, *SHAPE, dtype=torch.uint8)  # images, where a prior does not look at them


def exactly(codes: Tensor) -> DiagonalGaussian:
    """Posteriors of hardly any width."""
    return DiagonalGaussian(codes, torch.full_like(codes, -20.0))


def test_a_mixture_recovers_the_mixture_that_codes_were_drawn_from() -> None:
    torch.manual_seed(0)
    weights = torch.tensor([0.2, 0.3, 0.5])
    means = torch.tensor([[-6.0, 0.0], [0.0, 5.0], [6.0, -1.0]])
    covariances = torch.tensor([[[1.0, 0.8], [0.8, 1.0]], [[0.5, 0.0], [0.0, 2.0]], [[1.0, -0.6], [-0.6, 0.7]]])
    truth = MixtureSameFamily(Categorical(weights), MultivariateNormal(means, covariances))
    codes = truth.sample((10_000,))
    prior = Mixture(2, components=3, covariance="full")
    found = fit(prior, exactly(codes[:5000]), exactly(codes[5000:]), NONE)
    order = prior.means[:, 0].argsort()
    components = prior.components
    # Four standard errors, of n weights; the smallest component has 1000 codes.
    error = 4 / math.sqrt(5000)
    assert (prior.logits.softmax(dim=0)[order] - weights).abs().max() < error * 0.5
    assert (components.mean[order] - means).abs().max() < 4 * math.sqrt(2 / 1000)
    factors = components.scale_tril[order]
    assert (factors @ factors.mT - covariances).abs().max() < 4 * 2 * math.sqrt(2 / 1000)
    expected = truth.log_prob(codes[5000:]).mean().item()
    assert found.log_likelihood == pytest.approx(expected, abs=0.01) and found.epochs > 0


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_codes_are_samples_of_the_posteriors_rather_than_their_means(covariance: str) -> None:
    mean, log_var = torch.tensor([[1.0, -2.0]]).expand(4000, -1), torch.tensor([[0.0, math.log(4.0)]]).expand(4000, -1)
    posterior, prior = DiagonalGaussian(mean, log_var), Mixture(2, components=1, covariance=covariance)
    found = fit(prior, posterior, posterior, NONE)
    assert (prior.means - torch.tensor([1.0, -2.0])).abs().max() < 4 * 2 / math.sqrt(4000)
    assert (prior.components.log_var.exp() / torch.tensor([1.0, 4.0]) - 1).abs().max() < 4 * math.sqrt(2 / 4000)
    entropy = 1 + math.log(2 * math.pi) + math.log(2)  # of N(., diag(1, 4)), whose log p(z) it is on average
    assert found.log_likelihood == pytest.approx(-entropy, abs=4 / math.sqrt(4000))


BUILD = {
    "gmm": lambda: Mixture(3, components=4, covariance="full"),
    "flow": lambda: Flow(3, layers=4, hidden_dim=16),
    "vamp": lambda: VampPrior(3, SHAPE, components=30),
}


@pytest.mark.parametrize("density", BUILD)
def test_the_elbo_rises_by_what_the_log_likelihood_of_codes_rises(density: str) -> None:
    vae, split = small_vae(), random_split([0] * 1500)
    with torch.no_grad():  # codes unlike N(0, I)
        vae.to_posterior.weight *= 3
        vae.to_posterior.bias.copy_(torch.tensor([2.0, -1.0, 0.5, -3.0, -2.0, -1.0]))
    weights = {name: value.clone() for name, value in vae.state_dict().items()}
    posterior = encode_images(vae, *split)
    torch.manual_seed(1)
    prior: Prior = BUILD[density]()
    prior.bind(vae.encode)
    found = fit(prior, posterior, posterior, split[0], max_epochs=30)
    assert found.log_likelihood == pytest.approx(log_likelihood(prior, posterior))
    (distortion, before), gain = image_terms(vae, *split), found.log_likelihood - log_likelihood(vae.prior, posterior)
    for name, value in vae.requires_grad_(False).state_dict().items():
        assert torch.equal(value, weights[name])
    vae.use_prior(prior)
    same, after = image_terms(vae, *split)
    assert torch.equal(same, distortion)
    assert gain > 0.5 and (before.mean() - after.mean()).item() == pytest.approx(gain, abs=0.1)


def test_a_fit_ends_at_the_epoch_that_is_best_for_held_out_codes() -> None:
    """Its codes are of other images than those that it is fitted to, so it soon becomes worse."""
    torch.manual_seed(0)
    train, held_out = torch.randn(40, 2), torch.randn(2000, 2)
    prior, epochs = Mixture(2, components=20, covariance="full"), []
    found = fit(
        prior,
        exactly(train),
        exactly(held_out),
        NONE,
        show_progress=lambda rounds: (epochs.append(n) or n for n in rounds),
    )
    assert found.epochs < len(epochs) <= found.epochs + 10
    assert log_likelihood(prior, exactly(held_out)) == pytest.approx(found.log_likelihood)


def test_a_flow_that_cannot_gain_stays_as_it_was() -> None:
    torch.manual_seed(0)
    prior, codes = Flow(2, layers=2, hidden_dim=4), exactly(torch.randn(2000, 2))
    found = fit(prior, exactly(5 + torch.randn(500, 2)), codes, NONE, max_epochs=8)
    assert found.epochs == 0 and found.log_likelihood == pytest.approx(log_likelihood(StandardNormal(2), codes))


@pytest.mark.parametrize("density", BUILD)
def test_a_fit_is_reproducible(density: str) -> None:
    vae, split = small_vae(), random_split([0] * 100)
    posterior, made = encode_images(vae, *split), []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        prior: Prior = BUILD[density]()
        prior.bind(vae.encode)
        made.append((fit(prior, posterior, posterior, split[0], seed, max_epochs=2), prior.state_dict()))
    assert made[0][0] == made[1][0] != made[2][0]
    assert all(torch.equal(value, made[1][1][name]) for name, value in made[0][1].items())


@pytest.mark.parametrize("density", ["gmm", "vamp"])
def test_more_components_than_images_are_an_error(density: str) -> None:
    split, vae = random_split([0] * 3), small_vae()
    prior = BUILD[density]()
    prior.bind(vae.encode)
    posterior = encode_images(vae, *split)
    with pytest.raises(ValueError, match=r"components is (4|30); it must be at most 3, the number of images"):
        fit(prior, posterior, posterior, split[0])
