import itertools

import pytest
import torch

from mnist_vae.models.posteriors import Diagonal, DiagonalGaussian, FullCovariance, Posterior, mapped
from mnist_vae.objectives import BetaTCVAE, Terms
from mnist_vae.objectives.beta_tcvae import aggregate_log_probs, stratified_weights
from mnist_vae.utils.seeding import Noise
from tests.models.helpers import SHAPE, full_gaussian, small_vae


def terms(objective: BetaTCVAE, posterior: type[Diagonal] | type[FullCovariance] = Diagonal, images: int = 4) -> Terms:
    x = torch.rand(images, *SHAPE, generator=torch.Generator().manual_seed(0))
    vae = small_vae(posterior=posterior)
    return objective(vae, x, None, 0.0, Noise(images, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("posterior", [Diagonal, FullCovariance])
@pytest.mark.parametrize("images", [1, 2, 4])
def test_with_weights_of_one_the_loss_is_the_negative_elbo(posterior: type[Diagonal], images: int) -> None:
    vae = small_vae(posterior=posterior)
    x = torch.rand(images, *SHAPE, generator=torch.Generator().manual_seed(0))
    inference = vae.infer(x, Noise(images, generator=torch.Generator().manual_seed(1)))
    rate = inference.posterior.log_prob(inference.z) - vae.prior.log_prob(inference.z)
    loss = terms(BetaTCVAE(beta=1.0, train_size=100), posterior, images).loss
    torch.testing.assert_close(loss, rate - inference.log_likelihood, rtol=1e-5, atol=1e-4)


def test_the_loss_is_linear_in_each_weight() -> None:
    base = terms(BetaTCVAE(1.0, 100)).loss
    parts = [
        terms(BetaTCVAE(1.0, 100, alpha=2.0)).loss - base,
        terms(BetaTCVAE(2.0, 100)).loss - base,
        terms(BetaTCVAE(1.0, 100, gamma=2.0)).loss - base,
    ]
    torch.testing.assert_close(
        terms(BetaTCVAE(4.0, 100, alpha=3.0, gamma=0.5)).loss, base + 2 * parts[0] + 3 * parts[1] - parts[2] / 2
    )
    _, reconstruction, kl = terms(BetaTCVAE(4.0, 100))
    torch.testing.assert_close(reconstruction, terms(BetaTCVAE(1.0, 100)).reconstruction)
    assert (kl > 0).all()


@pytest.mark.parametrize(("images", "train_size"), [(2, 2), (2, 50), (7, 7), (7, 1000)])
def test_stratified_weights_sum_to_one(images: int, train_size: int) -> None:
    weights = stratified_weights(images, train_size)
    torch.testing.assert_close(weights.sum(1), torch.ones(images))
    torch.testing.assert_close(weights.diagonal(), torch.full((images,), 1 / train_size))


SETS = [
    DiagonalGaussian(torch.randn(5, 2).double(), torch.randn(5, 2).double()),
    DiagonalGaussian(torch.randn(5, 1).double(), torch.randn(5, 1).double()),
    full_gaussian(5, 2),
]


@pytest.mark.parametrize("posterior", SETS, ids=["diagonal", "one dimension", "full"])
@pytest.mark.parametrize("images", [2, 3, 5])
def test_the_mean_over_all_batches_is_the_aggregate_posterior(posterior: Posterior, images: int) -> None:
    """Exact, by enumeration of all batches that contain the image of one code, out of five images."""
    z = posterior.mean + 0.3
    exact = posterior.log_prob_pairwise(z)[0].logsumexp(0) - torch.tensor(5.0).log()
    found = []
    for others in itertools.permutations([1, 2, 3, 4], images - 1):
        batch = [0, *others]
        log_q, _ = aggregate_log_probs(mapped(posterior, lambda part, batch=batch: part[batch]), z[batch], train_size=5)
        found.append(log_q[0])
    torch.testing.assert_close(torch.stack(found).exp().mean().log(), exact.double(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("posterior", [SETS[0], SETS[2]], ids=["diagonal", "full"])
def test_log_q_product_is_the_sum_over_single_dimensions(posterior: Posterior) -> None:
    """For a single dimension, q(z_j) is q(z), which is tested above."""
    z = posterior.mean + 0.3
    _, product = aggregate_log_probs(posterior, z, train_size=50)
    alone = []
    for j in (slice(0, 1), slice(1, 2)):
        marginal = DiagonalGaussian(posterior.mean[:, j], posterior.log_var[:, j])
        alone.append(aggregate_log_probs(marginal, z[:, j], train_size=50)[0])
    torch.testing.assert_close(product, alone[0] + alone[1])


def test_in_one_dimension_there_is_no_total_correlation() -> None:
    posterior = DiagonalGaussian(torch.randn(6, 1).double(), torch.randn(6, 1).double())
    joint, product = aggregate_log_probs(posterior, posterior.mean, train_size=60)
    torch.testing.assert_close(joint, product)


@pytest.mark.parametrize("name", ["beta", "alpha", "gamma"])
def test_negative_weights_raise(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is -1"):
        BetaTCVAE(**{"beta": 1.0, "train_size": 10, name: -1.0})  # type: ignore[arg-type]
