"""Samples and their weights; the estimators of gradients are tested with the objectives that use them."""

import torch

from mnist_vae.objectives.importance_weights import bound, draw
from mnist_vae.utils.seeding import Noise
from tests.models.helpers import linear_gaussian_vae


def test_with_the_exact_posterior_every_weight_is_the_likelihood() -> None:
    vae, x, exact = linear_gaussian_vae(tight=True)
    samples = draw(vae, x, None, Noise(6), m=3, k=4)
    assert samples.z.shape == (3, 4, 6, 2)
    torch.testing.assert_close(samples.log_weight, exact.expand(3, 4, 6))
    torch.testing.assert_close(bound(samples.log_weight), exact)


def test_the_bound_is_the_mean_of_logarithms_of_means() -> None:
    weight = torch.tensor([[1.0, 3.0], [2.0, 6.0]])  # m = 2 groups of k = 2, one image
    expected = 0.5 * (torch.tensor(2.0).log() + torch.tensor(4.0).log())
    torch.testing.assert_close(bound(weight.log().unsqueeze(-1)), expected.expand(1))


def test_without_score_the_posteriors_parameters_act_through_z() -> None:
    vae, x, _ = linear_gaussian_vae(tight=False)
    for without_score in (False, True):
        samples = draw(vae, x, None, Noise(6), 1, 2, without_score)
        assert samples.z.grad_fn is not None and not samples.kl.requires_grad
        # log q(z(φ)|φ) of a Gaussian depends on φ by the scale alone, in total; its score is what is left out.
        (gradient,) = torch.autograd.grad(samples.log_q.sum(), vae.to_posterior.bias)
        of_mean = gradient[:2]
        assert (of_mean.abs().max() < 1e-12) != without_score
