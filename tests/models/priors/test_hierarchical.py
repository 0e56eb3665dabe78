"""The hierarchical prior against torch.distributions."""

import pytest
import torch
from torch.distributions import Normal

from mnist_vae.models.priors import Hierarchical, StandardNormal
from tests.models.priors.helpers import randomised


def random_hierarchical(latent_dim: int, layers: int = 3) -> Hierarchical:
    prior = randomised(Hierarchical(latent_dim, layers, hidden_dim=8), scale=0.5)
    assert isinstance(prior, Hierarchical)
    return prior


@pytest.mark.parametrize(("latent_dim", "layers", "sizes"), [(6, 3, [2, 2, 2]), (7, 3, [2, 2, 3]), (4, 1, [4])])
def test_groups_divide_the_dimensions_evenly(latent_dim: int, layers: int, sizes: list[int]) -> None:
    groups = Hierarchical(latent_dim, layers).groups
    assert [part.stop - part.start for part in groups] == sizes
    assert groups[0].start == 0 and groups[-1].stop == latent_dim


@pytest.mark.parametrize("leading", [(), (5,), (2, 4)])
def test_log_prob_is_the_sum_of_the_conditionals(leading: tuple[int, ...]) -> None:
    prior, z = random_hierarchical(7), torch.randn(*leading, 3, 7).double()
    expected = Normal(0.0, 1.0).log_prob(z[..., :2]).sum(dim=-1)
    for network, part in zip(prior.networks, [slice(2, 4), slice(4, 7)], strict=True):
        mean, log_var = network(z[..., : part.start]).chunk(2, dim=-1)
        expected = expected + Normal(mean, torch.exp(0.5 * log_var)).log_prob(z[..., part]).sum(dim=-1)
    torch.testing.assert_close(prior.log_prob(z), expected)


def test_every_group_depends_on_all_above() -> None:
    prior = random_hierarchical(6)
    found = torch.autograd.functional.jacobian(
        lambda z: torch.cat([prior.conditional(i, z[: part.start]).mean for i, part in enumerate(prior.groups)]),
        torch.randn(6).double(),
    )
    assert torch.equal(found != 0, torch.ones(3, 3).tril(-1).bool().repeat_interleave(2, 0).repeat_interleave(2, 1))


def test_samples_have_the_moments_of_a_linear_hierarchy() -> None:
    prior = Hierarchical(2, layers=2)
    linear = torch.nn.Linear(1, 2)
    linear.weight.data, linear.bias.data = (
        torch.tensor([[0.8], [0.0]]),
        torch.tensor([1.0, 2 * torch.tensor(0.5).log()]),
    )
    prior.networks[0] = linear
    z = prior.sample(200_000, torch.Generator().manual_seed(0))  # z_2 = 1 + 0.8 z_1 + 0.5 e
    torch.testing.assert_close(z.mean(dim=0), torch.tensor([0.0, 1.0]), atol=0.01, rtol=0)
    torch.testing.assert_close(z.T.cov(), torch.tensor([[1.0, 0.8], [0.8, 0.64 + 0.25]]), atol=0.015, rtol=0)
    cold = prior.sample(200_000, torch.Generator().manual_seed(0), temperature=0.5)
    torch.testing.assert_close(cold.T.cov(), 0.25 * z.T.cov(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_a_new_hierarchy_is_the_standard_normal(layers: int) -> None:
    prior, z = Hierarchical(5, layers), torch.randn(9, 5)
    torch.testing.assert_close(prior.log_prob(z), StandardNormal(5).log_prob(z))
    draws = (each.sample(9, torch.Generator().manual_seed(0)) for each in (prior, StandardNormal(5)))
    torch.testing.assert_close(*draws)


def test_log_prob_is_computed_in_full_precision_under_mixed_precision() -> None:
    prior, z = random_hierarchical(6).float(), torch.randn(9, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = prior.log_prob(z)
    assert torch.equal(half, prior.log_prob(z))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"layers": 0}, "layers is 0"), ({"hidden_dim": 0}, "hidden_dim is 0"), ({"layers": 4}, "latent_dim is 3")],
)
def test_bad_sizes(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Hierarchical(3, **settings)
