import math

import pytest
import torch
from torch import Tensor

from mnist_vae.models.posteriors import DiagonalGaussian, FullGaussian, Posterior
from mnist_vae.models.priors import Mixture, mixture_density
from tests.models.priors.helpers import MIXTURES, Build, random_mixture, torch_mixture, vamp_of


@pytest.mark.parametrize("build", MIXTURES)
@pytest.mark.parametrize("latent_dim", [1, 2, 7])
def test_log_prob_equals_that_of_torch_distributions(build: Build, latent_dim: int) -> None:
    prior = build(latent_dim)
    logits = prior.logits if isinstance(prior, Mixture) else torch.zeros(5, dtype=torch.float64)
    z = 3 * torch.randn(11, latent_dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(prior.log_prob(z), torch_mixture(prior.components, logits).log_prob(z))


def narrow(full: bool) -> tuple[Posterior, Tensor]:
    """Gaussians as of a trained encoder, of variance 1e-3 and with means of several units; and samples of them."""
    generator = torch.Generator().manual_seed(0)
    mean, log_var = 3 * torch.randn(50, 40, generator=generator), torch.full((50, 40), math.log(1e-3))
    gaussians = FullGaussian(mean, (0.5 * log_var).exp().diag_embed()) if full else DiagonalGaussian(mean, log_var)
    return gaussians, gaussians.rsample(torch.randn(50, 40, generator=generator))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("without_float64", [(), ("cpu",)])
@pytest.mark.parametrize("half", [False, True])
def test_densities_of_narrow_gaussians_are_accurate_in_float32(
    full: bool, without_float64: tuple[str, ...], half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixture_density, "WITHOUT_FLOAT64", without_float64)
    gaussians, z = narrow(full)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        log_prob = vamp_of(gaussians).log_prob(z)
    assert log_prob.dtype == torch.float32
    exact = type(gaussians)(*(tensor.double() for tensor in gaussians))
    expected = torch_mixture(exact, torch.zeros(50, dtype=torch.float64)).log_prob(z.double())
    torch.testing.assert_close(log_prob.double(), expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("without_float64", [(), ("cpu",)])
def test_splitting_many_codes_does_not_change_log_prob(
    without_float64: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixture_density, "WITHOUT_FLOAT64", without_float64)
    prior, z = random_mixture(3), torch.randn(11, 3, dtype=torch.float64)
    whole = prior.log_prob(z)
    monkeypatch.setattr(mixture_density, "MAX_PAIRS", 20)
    torch.testing.assert_close(prior.log_prob(z), whole)


@pytest.mark.parametrize("build", MIXTURES)
def test_temperature_scales_the_components(build: Build) -> None:
    prior = build(3)
    cold, one, warm = (prior.sample(40, torch.Generator().manual_seed(0), t) for t in (0.0, 1.0, 2.0))
    assert (torch.cdist(cold, prior.components.mean).min(dim=1).values < 1e-6).all()
    torch.testing.assert_close(warm - cold, 2 * (one - cold))
