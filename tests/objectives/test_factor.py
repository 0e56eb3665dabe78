"""FactorVAE: the density-ratio estimate against closed forms, and whose gradients the loss has."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal

from mnist_vae.analysis.metrics import total_correlation
from mnist_vae.objectives import FactorVAE
from mnist_vae.objectives.factor import permuted
from mnist_vae.runs.load import open_run
from mnist_vae.training.train import train
from mnist_vae.utils.seeding import Noise
from tests.conftest import TINY, composed
from tests.models.helpers import SHAPE, small_vae

CORRELATION = 0.8
TOTAL_CORRELATION = -0.5 * math.log(1 - CORRELATION**2)  # of two standard normals, in nats
SHORT = ("latent_dim=6", "model.hidden_dims=[64]", "max_epochs=20", "callbacks=none", "logger=none")
COVARIANCE = torch.tensor([[1.0, CORRELATION], [CORRELATION, 1.0]])


def objective(gamma: float = 5.0, latent_dim: int = 3, hidden_dim: int = 16, lr: float = 1e-4) -> FactorVAE:
    torch.manual_seed(0)
    return FactorVAE(gamma, latent_dim, layers=2, hidden_dim=hidden_dim, lr=lr, betas=(0.5, 0.9))


def noise(images: int, seed: int = 1) -> Noise:
    return Noise(images, generator=torch.Generator().manual_seed(seed))


def gaussian_codes(count: int, seed: int = 0) -> Tensor:
    draws = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return draws @ torch.linalg.cholesky(COVARIANCE).T


class Optimal(nn.Module):
    """The optimal discriminator's logit, log q(z) - Σ log q(z_j), of the Gaussian codes."""

    def forward(self, z: Tensor) -> Tensor:
        joint = MultivariateNormal(torch.zeros(2), COVARIANCE).log_prob(z)
        return (joint - Normal(0.0, 1.0).log_prob(z).sum(-1)).unsqueeze(-1)


def test_with_the_optimal_discriminator_the_estimate_is_the_total_correlation() -> None:
    factor = objective(latent_dim=2)
    factor.discriminator = Optimal()  # type: ignore[assignment]
    ratio = factor.log_ratio(gaussian_codes(200_000))
    assert abs(ratio.mean() - TOTAL_CORRELATION) < 4 * ratio.std() / 200_000**0.5


def test_permuted_codes_are_samples_of_the_product_of_marginals() -> None:
    z = gaussian_codes(20_000)
    shuffled = permuted(z, noise(len(z)))
    for j in range(2):
        torch.testing.assert_close(shuffled[:, j].sort().values, z[:, j].sort().values)
        assert not torch.equal(shuffled[:, j], z[:, j])
    assert abs(torch.corrcoef(shuffled.T)[0, 1]) < 4 / 20_000**0.5
    assert torch.equal(shuffled, permuted(z, noise(len(z))))  # from the batch's generator alone
    assert torch.equal(permuted(z[:1], noise(1)), z[:1])


class Codes(nn.Module):
    """Stands for a VAE whose codes are given, with a KL and a reconstruction term of 0."""

    def __init__(self) -> None:
        super().__init__()
        self.prior = self

    def infer(self, x: Tensor, noise: Noise, labels: Tensor | None = None) -> tuple[None, Tensor, Tensor, Tensor]:
        return None, x, torch.zeros(len(x)), torch.zeros(len(x))

    def kl(self, *_: object) -> Tensor:
        return torch.zeros(())


class Quadratic(nn.Linear):
    """A discriminator of the family that the optimal one of Gaussian codes is in."""

    def __init__(self) -> None:
        super().__init__(3, 1)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(torch.stack([z[:, 0] ** 2, z[:, 1] ** 2, z[:, 0] * z[:, 1]], dim=1))


def test_the_loss_trains_the_discriminator_to_the_optimal_one() -> None:
    factor = objective(latent_dim=2)
    factor.discriminator = Quadratic()  # type: ignore[assignment]
    optimizer = torch.optim.Adam(factor.parameters(), lr=0.05)
    for step in range(200):
        optimizer.zero_grad()
        factor(Codes(), gaussian_codes(2000, seed=step), None, 0.0, noise(2000, step)).loss.mean().backward()  # type: ignore[arg-type]
        optimizer.step()
    precision = torch.linalg.inv(COVARIANCE) - torch.eye(2)
    expected = torch.stack([-0.5 * precision[0, 0], -0.5 * precision[1, 1], -precision[0, 1]])
    torch.testing.assert_close(factor.discriminator.weight[0].detach(), expected, rtol=0.1, atol=0.0)
    assert factor.discriminator.bias.item() == pytest.approx(TOTAL_CORRELATION, rel=0.1)
    values = factor.schedule_values(0.0)
    assert values["total_correlation"] == pytest.approx(TOTAL_CORRELATION, abs=0.2)
    assert 0.45 < values["discriminator_loss"] < 0.6


def gradients(loss: Tensor, *modules: nn.Module) -> list[list[Tensor | None]]:
    parameters = [list(module.parameters()) for module in modules]
    found = torch.autograd.grad(loss, [p for group in parameters for p in group], retain_graph=True, allow_unused=True)
    rest = iter(found)
    return [[next(rest) for _ in group] for group in parameters]


@pytest.mark.parametrize("classes", [0, 10])
def test_each_parameter_has_its_own_gradient(classes: int) -> None:
    vae, factor = small_vae(classes=classes), objective()
    x = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6) if classes else None
    loss, reconstruction, kl = factor(vae, x, labels, 0.0, noise(6))
    of_vae, of_discriminator = gradients(loss.sum(), vae, factor)

    _, z, log_likelihood, _ = vae.infer(x, noise(6), labels=labels)
    generator = noise(6)
    generator.normal(3)  # drawn for z
    correlation = factor.discriminator(z).squeeze(-1)
    plain = (-log_likelihood + vae.prior.kl(vae.encode(x, labels), z) + 5 * correlation).sum()
    expected_of_vae, unwanted = gradients(plain, vae, factor)
    logits = torch.cat([factor.discriminator(z), factor.discriminator(permuted(z, generator))])
    truth = torch.cat([torch.ones(6, 1), torch.zeros(6, 1)])
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / 2
    also_unwanted, expected_of_discriminator = gradients(entropy, vae, factor)
    torch.testing.assert_close(of_vae, expected_of_vae)
    torch.testing.assert_close(of_discriminator, expected_of_discriminator)
    # Without `frozen` and `detach` both would have been others.
    assert all(gradient is not None for gradient in unwanted) and any(g is not None for g in also_unwanted)
    torch.testing.assert_close(loss, reconstruction + kl + 5 * correlation)


def test_in_evaluation_nothing_needs_a_gradient_and_the_loss_is_the_same() -> None:
    vae, factor = small_vae(), objective()
    x = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))
    assert all(math.isnan(value) for value in factor.schedule_values(0.0).values())
    trained = factor(vae, x, None, 0.0, noise(6)).loss
    before = factor.schedule_values(0.0)
    with torch.no_grad():
        evaluated = factor(vae, x + 0.0, None, 0.0, noise(6)).loss
        factor(vae, 1 - x, None, 0.0, noise(6))
    torch.testing.assert_close(evaluated, trained.detach())
    assert not evaluated.requires_grad and factor.schedule_values(0.0) == before  # those of the last training batch
    assert all(parameter.requires_grad for parameter in factor.parameters())


def test_gamma_of_zero_is_the_elbo() -> None:
    vae, x = small_vae(), torch.rand(6, *SHAPE)
    loss, reconstruction, kl = objective(gamma=0.0)(vae, x, None, 0.0, noise(6))
    torch.testing.assert_close(loss, reconstruction + kl)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"gamma": -1.0}, "gamma is -1"),
        ({"hidden_dim": 0}, "hidden_dim is 0"),
        ({"lr": -1.0}, "lr is -1"),
    ],
)
def test_values_out_of_range_raise(argument: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        objective(**argument)  # type: ignore[arg-type]


@pytest.mark.slow
def test_training_lowers_the_total_correlation_of_the_digits_codes(tmp_path: Path) -> None:
    """Measured by the aggregate posterior's density, without the discriminator."""
    found = []
    for gamma in (0, 50):
        discriminator = ("objective.lr=1e-3", "objective.layers=2", "objective.hidden_dim=64")
        cfg = composed(*TINY, "objective=factor", f"objective.gamma={gamma}", *discriminator, *SHORT)
        train(cfg, tmp_path / f"{gamma}")
        run = open_run(tmp_path / f"{gamma}")
        posterior = run.vae.encode(run.images("test")[0])
        draws = torch.randn(posterior.mean.shape, generator=torch.Generator().manual_seed(0))
        found.append(float(total_correlation(posterior, posterior.rsample(draws)).upper.mean()))
        assert run.metrics["parameters"] == run.vae.count_parameters()  # without the discriminator's
    assert found[1] < 0.7 * found[0]
