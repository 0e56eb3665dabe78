"""Flow posteriors: their density against the change of variables and quadrature, and their moments."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from mnist_vae.models.posteriors import Coupling, FlowPosterior, InverseAutoregressive, PosteriorLayer, detached, mapped
from mnist_vae.models.priors import StandardNormal
from tests.models.priors.helpers import randomised

LAYERS: list[type[Coupling] | type[InverseAutoregressive]] = [Coupling, InverseAutoregressive]
both = pytest.mark.parametrize("layer", LAYERS)


def random_posterior(layer: type[PosteriorLayer], images: int = 3, latent_dim: int = 3) -> FlowPosterior:
    made = randomised(layer(4, latent_dim, layers=3, hidden_dim=8), scale=0.4)  # type: ignore[call-arg]
    features = torch.randn(images, 4, generator=torch.Generator().manual_seed(0)).double()
    posterior = made.posterior(features, torch.float64)
    assert isinstance(posterior, FlowPosterior)
    return posterior


@both
@pytest.mark.parametrize("leading", [(), (5,), (2, 4)])
def test_the_density_of_samples_is_that_of_the_change_of_variables(
    layer: type[PosteriorLayer], leading: tuple[int, ...]
) -> None:
    posterior = random_posterior(layer)
    noise = torch.randn(*leading, 3, 3).double()
    z, log_q = posterior.rsample_and_log_prob(noise)
    torch.testing.assert_close(z, posterior.rsample(noise))
    torch.testing.assert_close(posterior.log_prob(z), log_q)
    first = noise.reshape(-1, 3, 3)[0]
    for i in range(3):
        one = mapped(posterior, lambda part, i=i: part[i : i + 1])
        matrix = torch.autograd.functional.jacobian(lambda draw, one=one: one.rsample(draw[None])[0], first[i])
        expected = Normal(0.0, 1.0).log_prob(first[i]).sum() - torch.linalg.slogdet(matrix).logabsdet
        torch.testing.assert_close(log_q.reshape(-1, 3)[0, i], expected)


@both
def test_the_density_integrates_to_1(layer: type[PosteriorLayer]) -> None:
    posterior = random_posterior(layer, images=2, latent_dim=2)
    axis = torch.linspace(-40, 40, 801).double()
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        density = posterior.log_prob_pairwise(grid).exp()
    torch.testing.assert_close(density.sum(dim=0) * (axis[1] - axis[0]) ** 2, torch.ones(2).double(), atol=3e-3, rtol=0)


@both
def test_pairwise_densities_are_of_each_pair(layer: type[PosteriorLayer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_vae.models.posteriors.flow.MAX_PAIRS", 6)  # two codes at once
    posterior, z = random_posterior(layer), torch.randn(5, 3).double()
    found = posterior.log_prob_pairwise(z)
    for i in range(3):
        one = mapped(posterior, lambda part, i=i: part[i : i + 1])
        torch.testing.assert_close(found[:, i], torch.stack([one.log_prob(code[None])[0] for code in z]))


@both
def test_a_new_layer_gives_a_diagonal_gaussian(layer: type[PosteriorLayer]) -> None:
    made = layer(4, 3)
    posterior = made.posterior(torch.randn(5, 4), torch.float32)
    assert isinstance(posterior, FlowPosterior)
    z = torch.randn(5, 3)
    torch.testing.assert_close(posterior.mean, posterior.base_mean)
    torch.testing.assert_close(posterior.log_prob(z), posterior.base.log_prob(z))
    torch.testing.assert_close(posterior.log_var, posterior.base_log_var, atol=1e-4, rtol=0)


@both
def test_log_var_is_that_of_many_samples(layer: type[PosteriorLayer]) -> None:
    posterior = random_posterior(layer)
    many = posterior.rsample(torch.randn(20_000, 3, 3, generator=torch.Generator().manual_seed(3)).double())
    assert (many.var(dim=0).log() - posterior.log_var).abs().max() < 1


@both
def test_the_kl_to_the_standard_normal_is_estimated_from_the_sample(layer: type[PosteriorLayer]) -> None:
    posterior, prior = random_posterior(layer), StandardNormal(3)
    z, log_q = posterior.rsample_and_log_prob(torch.randn(7, 3, 3).double())
    torch.testing.assert_close(prior.kl(posterior, z, log_q), log_q - prior.log_prob(z))
    torch.testing.assert_close(prior.kl(posterior, z), log_q - prior.log_prob(z))
    assert prior.kl_per_dimension(posterior) is None


@both
def test_a_detached_posterior_has_a_gradient_at_the_code_only(layer: type[PosteriorLayer]) -> None:
    made = randomised(layer(4, 3, layers=2, hidden_dim=8))  # type: ignore[call-arg]
    posterior = made.posterior(torch.randn(5, 4).double(), torch.float64)
    z = torch.randn(5, 3).double().requires_grad_()
    constant = detached(posterior)
    torch.testing.assert_close(constant.log_prob(z), posterior.log_prob(z))
    constant.log_prob(z).sum().backward()
    assert z.grad is not None and all(parameter.grad is None for parameter in made.parameters())


@both
def test_flows_are_computed_in_full_precision_under_mixed_precision(layer: type[PosteriorLayer]) -> None:
    posterior = random_posterior(layer)
    posterior = mapped(posterior._replace(flow=posterior.flow.float()), Tensor.float)
    noise = torch.randn(5, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        found = posterior.rsample_and_log_prob(noise)
    for one, other in zip(found, posterior.rsample_and_log_prob(noise), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("layer", "settings", "message"),
    [
        (InverseAutoregressive, {"layers": 0}, "layers is 0"),
        (InverseAutoregressive, {"hidden_dim": 0}, "hidden_dim is 0"),
        (Coupling, {"layers": -1}, "layers is -1"),
        (Coupling, {"latent_dim": 1}, "latent_dim is 1; a coupling flow needs 2 or more"),
    ],
)
def test_bad_sizes(layer: type[PosteriorLayer], settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer(**({"features": 4, "latent_dim": 3} | settings))
