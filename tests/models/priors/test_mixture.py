import torch

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
