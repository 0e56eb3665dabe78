import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from mnist_vae.models.priors import Mixture


def test_initial_components_have_equal_weights_unit_variances_and_normal_means() -> None:
    prior = Mixture(3, components=2000)
    assert (prior.components.mean.std(dim=0) - 1).abs().max() < 0.1
    assert torch.equal(prior.components.log_var, torch.zeros(2000, 3))
    assert prior.logits.unique().numel() == 1


def test_log_prob_and_gradients_are_finite_for_extreme_log_variances() -> None:
    prior = Mixture(2, components=3)
    prior.log_vars.data.fill_(-1e4)
    log_prob = prior.log_prob(torch.randn(5, 2)).sum()
    log_prob.backward()
    assert log_prob.isfinite() and prior.log_vars.grad is not None and prior.log_vars.grad.isfinite().all()


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_an_assigned_mixture_has_the_density_of_that_mixture(covariance: str) -> None:
    torch.manual_seed(0)
    weights, means = torch.tensor([0.2, 0.7, 0.1]).double(), torch.randn(3, 4).double()
    factors = torch.randn(3, 4, 4).double()
    covariances = factors @ factors.mT + 0.1 * torch.eye(4)
    prior = Mixture(4, components=3, covariance=covariance).double()
    if covariance == "diagonal":
        variances = covariances.diagonal(dim1=-2, dim2=-1)
        prior.assign(weights, means, variances)
        covariances = torch.diag_embed(variances)
    else:
        prior.assign(weights, means, covariances)
    z = 2 * torch.randn(20, 4).double()
    expected = MixtureSameFamily(Categorical(weights), MultivariateNormal(means, covariances)).log_prob(z)
    torch.testing.assert_close(prior.log_prob(z).detach(), expected)
