import itertools
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.distributions import Normal

from mnist_vae.config.instantiate import instantiate
from mnist_vae.models.likelihoods import Bernoulli, ContinuousBernoulli, DiscretizedLogistic, Gaussian, Likelihood
from tests.conftest import composed

GREY = {
    "continuous_bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "discretized_logistic": DiscretizedLogistic,
}
ALL = {"bernoulli": Bernoulli, **GREY}
LOGITS = [-300.0, -30.0, -2.0, -0.11, -0.1, -0.09, -1e-4, 0.0, 1e-8, 0.05, 0.1001, 0.5, 8.0, 100.0]
LOGISTICS = list(itertools.product([-0.5, 0.0, 0.3, 100.4 / 255, 1.0, 2.0], [-7.0, -6.0, -4.0, -2.0, 0.0, 5.0]))
EXTREMES = [-1e4, -100.0, -30.0, -1.0, 0.0, 1.0, 30.0, 100.0, 1e4]


@pytest.mark.parametrize("logit", EXTREMES)
@pytest.mark.parametrize("x", [0.0, 0.25, 1.0])
def test_bernoulli_log_prob_equals_its_definition(logit: float, x: float) -> None:
    # x log p + (1 - x) log(1 - p), with log p = -log(1 + e^-l), in a form that does not overflow.
    log_p, log_not_p = (-(max(-s, 0) + math.log1p(math.exp(-abs(s)))) for s in (logit, -logit))
    expected = x * log_p + (1 - x) * log_not_p
    image = torch.full((1, 1, 1, 1), x)
    log_prob = Bernoulli().log_prob(torch.full((1, 1, 1, 1), logit), image)
    assert log_prob.item() == pytest.approx(expected, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("logit", EXTREMES)
def test_bernoulli_gradient_is_the_residual(logit: float) -> None:
    parameters = torch.full((1, 1, 1, 1), logit, requires_grad=True)
    Bernoulli().log_prob(parameters, torch.full((1, 1, 1, 1), 0.25)).backward()
    assert parameters.grad is not None
    assert parameters.grad.item() == pytest.approx(0.25 - torch.sigmoid(torch.tensor(logit)).item(), abs=1e-6)


def test_bernoulli_log_prob_is_summed_over_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 2, 4, 3, dtype=torch.float64, generator=generator)
    x = (torch.rand(5, 2, 4, 3, generator=generator) < 0.5).double()
    expected = TorchBernoulli(logits=logits).log_prob(x).sum(dim=(1, 2, 3))
    torch.testing.assert_close(Bernoulli().log_prob(logits, x), expected)


def test_bernoulli_probabilities_sum_to_one() -> None:
    logits = torch.tensor([0.3, -1.2, 2.0]).reshape(1, 1, 1, 3)
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3).reshape(8, 1, 1, 3)
    assert Bernoulli().log_prob(logits.expand(8, 1, 1, 3), images).exp().sum().item() == pytest.approx(1, rel=1e-6)


def test_bernoulli_mean_is_the_probability() -> None:
    assert Bernoulli().mean(torch.tensor([0.0, math.log(3)])).tolist() == pytest.approx([0.5, 0.75])


def parameters_of(*values: float) -> Tensor:
    """Parameters of one image of one pixel, (1, values, 1, 1) float64."""
    return torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1, 1)


def pixels(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, 1, 1)


def probabilities(likelihood: Likelihood, parameters: Tensor, x: Tensor) -> Tensor:
    """p(x|z) at every x (n,) of a single pixel."""
    return likelihood.log_prob(parameters.expand(len(x), -1, -1, -1), pixels(x)).exp()


def quadrature(start: float, end: float) -> tuple[Tensor, Tensor]:
    """Nodes and weights of Gauss-Legendre quadrature on [start, end]."""
    nodes, weights = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(300))
    return start + (end - start) * (nodes + 1) / 2, weights * (end - start) / 2


@pytest.mark.parametrize("name", ALL)
def test_the_config_group_instantiates_the_class(name: str) -> None:
    likelihood = instantiate("likelihood", composed(f"likelihood={name}").likelihood)
    assert type(likelihood) is ALL[name]
    assert likelihood.grey_only == (name in GREY)
    assert likelihood.parameters_per_value == (2 if name == "discretized_logistic" else 1)


@pytest.mark.parametrize("logit", LOGITS)
def test_continuous_bernoulli_density_integrates_to_one_and_has_its_mean(logit: float) -> None:
    x, weights = quadrature(0, 1)
    density = weights * probabilities(ContinuousBernoulli(), parameters_of(logit), x)
    assert density.sum().item() == pytest.approx(1, abs=2e-9)
    assert ContinuousBernoulli().mean(parameters_of(logit)).item() == pytest.approx(
        (density * x).sum().item(), abs=2e-9
    )


@pytest.mark.parametrize("logit", [logit for logit in LOGITS if abs(logit) < 10])
def test_continuous_bernoulli_log_prob_equals_that_of_torch_distributions(logit: float) -> None:
    x = torch.linspace(0, 1, 11, dtype=torch.float64)
    expected = TorchContinuousBernoulli(logits=parameters_of(logit)).log_prob(pixels(x)).sum(dim=(1, 2, 3))
    torch.testing.assert_close(
        ContinuousBernoulli().log_prob(parameters_of(logit).expand(11, 1, 1, 1), pixels(x)), expected
    )


@pytest.mark.parametrize("logit", LOGITS)
def test_continuous_bernoulli_in_single_precision(logit: float) -> None:
    """Values and gradients near 0, where the closed forms cancel: d log p / d logit is x - mean."""
    logits = parameters_of(logit).float().requires_grad_()
    ContinuousBernoulli().log_prob(logits, torch.full((1, 1, 1, 1), 0.7)).backward()
    mean = 1 / -math.expm1(-logit) - 1 / logit if abs(logit) > 1e-3 else 0.5 + logit / 12
    assert ContinuousBernoulli().mean(logits).item() == pytest.approx(mean, abs=5e-6)
    assert logits.grad is not None
    assert logits.grad.item() == pytest.approx(0.7 - mean, abs=5e-6)


@pytest.mark.parametrize("scale", [1e-4, 0.01, 0.1, 3.0])
def test_gaussian_log_prob_equals_that_of_torch_distributions(scale: float) -> None:
    sigma = scale + math.exp(-6)
    x, weights = quadrature(0.3 - 12 * sigma, 0.3 + 12 * sigma)
    density = probabilities(Gaussian(scale).double(), parameters_of(0.3), x)
    assert (weights * density).sum().item() == pytest.approx(1, rel=1e-6)
    torch.testing.assert_close(density, Normal(0.3, sigma).log_prob(x).exp(), rtol=1e-4, atol=1e-12)


def test_gaussian_mean_is_the_clamped_decoder_output() -> None:
    assert Gaussian().mean(torch.tensor([-0.5, 0.25, 3.0])).tolist() == [0, 0.25, 1]


@pytest.mark.parametrize("scale", [0.001, 0.1, 1.0])
def test_gaussian_gradient_with_respect_to_the_scale(scale: float) -> None:
    likelihood = Gaussian(scale).double()
    likelihood.log_prob(parameters_of(0.3), parameters_of(0.5)).backward()
    sigma = scale + math.exp(-6)
    # d/dσ of -(x - μ)² / 2σ² - log σ, and σ - e^-6 is the exponential of the parameter.
    expected = ((0.2 / sigma) ** 2 - 1) / sigma * scale
    assert likelihood.log_scale.grad is not None
    assert likelihood.log_scale.grad.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scale", [-1.0, 0.0, math.inf, math.nan])
def test_gaussian_scale_must_be_positive_and_finite(scale: float) -> None:
    with pytest.raises(ValueError, match=f"scale is {scale}; it must be above 0, and finite"):
        Gaussian(scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("mean", "log_scale"), LOGISTICS)
def test_discretized_logistic_probabilities_sum_to_one_and_have_its_mean(
    mean: float, log_scale: float, dtype: torch.dtype
) -> None:
    levels = torch.arange(256, dtype=dtype) / 255
    mass = probabilities(DiscretizedLogistic(), parameters_of(mean, log_scale).to(dtype), levels)
    assert mass.sum().item() == pytest.approx(1, rel=1e-4 if dtype is torch.float32 else 1e-12)
    expected = (mass * levels).sum().item()
    shown = DiscretizedLogistic().mean(parameters_of(mean, log_scale).to(dtype)).item()
    assert shown == pytest.approx(expected, abs=0.5 / 255)
    if log_scale > -3:
        assert shown == pytest.approx(expected, abs=1e-4)


def exact_log_mass(level: int, mean: float, log_scale: float) -> float:
    """Equation 2 of Salimans et al. (2017) in arithmetic of 700 digits."""
    with localcontext() as context:
        context.prec = 700  # the smallest probability is about 1e-600
        scale = Decimal(log_scale).exp()

        def cdf(edge: Decimal) -> Decimal:
            return 1 / (1 + (-(edge - Decimal(mean)) / scale).exp())

        upper = cdf((Decimal(level) + Decimal("0.5")) / 255) if level < 255 else Decimal(1)
        lower = cdf((Decimal(level) - Decimal("0.5")) / 255) if level > 0 else Decimal(0)
        return float((upper - lower).ln())


@pytest.mark.parametrize("level", [0, 1, 100, 254, 255])
@pytest.mark.parametrize(("mean", "log_scale"), [(-0.25, -7.0), (0.375, -7.0), (0.375, -3.0), (0.5, 4.5), (2.0, -6.5)])
def test_discretized_logistic_is_accurate_for_tiny_probabilities(level: int, mean: float, log_scale: float) -> None:
    expected = exact_log_mass(level, mean, log_scale)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        x = torch.full((1, 1, 1, 1), level / 255, dtype=dtype)
        log_prob = DiscretizedLogistic().log_prob(parameters_of(mean, log_scale).to(dtype), x).item()
        assert log_prob == pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_discretized_logistic_rounds_x_to_the_nearest_level() -> None:
    x = pixels(torch.tensor([100.3, 99.6, 0.4, 254.7], dtype=torch.float64) / 255)
    parameters = parameters_of(0.4, -3).expand(4, -1, -1, -1)
    expected = DiscretizedLogistic().log_prob(parameters, pixels(torch.tensor([100.0, 100, 0, 255]).double() / 255))
    torch.testing.assert_close(DiscretizedLogistic().log_prob(parameters, x), expected)


@pytest.mark.parametrize(("beyond", "bound"), [(-20.0, -7.0), (20.0, 5.0)])
def test_a_log_scale_out_of_range_is_clamped_but_keeps_its_gradient(beyond: float, bound: float) -> None:
    outcomes = []
    for log_scale in (beyond, bound):
        parameters = parameters_of(0.1, log_scale).requires_grad_()
        log_prob = DiscretizedLogistic().log_prob(parameters, parameters_of(0.4))
        log_prob.backward()
        outcomes.append((log_prob.detach(), parameters.grad))
    torch.testing.assert_close(*outcomes)
    assert outcomes[0][1] is not None
    assert outcomes[0][1][0, 1].abs() > 1e-9


@pytest.mark.parametrize("kind", GREY.values())
def test_gradients_equal_finite_differences(kind: type[Likelihood]) -> None:
    likelihood = kind().double()
    generator = torch.Generator().manual_seed(0)
    parameters = torch.randn(4, 2, 3, 2, dtype=torch.float64, generator=generator)
    parameters[0, 0] = torch.tensor([[0.0, 0.01], [-0.09, 0.11], [1e-3, 5]])
    x = torch.rand(4, 2 // kind.parameters_per_value, 3, 2, dtype=torch.float64, generator=generator)
    x[0, 0, 0] = torch.tensor([0.0, 1.0])
    parameters.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: likelihood.log_prob(p, x), parameters)
    if kind is not Gaussian:  # its mean is not differentiable at 0 and 1
        assert torch.autograd.gradcheck(likelihood.mean, parameters)


@pytest.mark.parametrize("kind", GREY.values())
@pytest.mark.parametrize("x", [0.0, 0.4, 1.0])
def test_extreme_parameters_give_finite_values_and_gradients(kind: type[Likelihood], x: float) -> None:
    values = itertools.product([-1e6, -1e3, -1e-30, 0.0, 1e-3, 1.0, 1e3, 1e6], repeat=kind.parameters_per_value)
    parameters = torch.tensor(list(values)).reshape(-1, kind.parameters_per_value, 1, 1).requires_grad_()
    likelihood = kind()
    mean = likelihood.mean(parameters)
    log_prob = likelihood.log_prob(parameters, torch.full(mean.shape, x))
    assert log_prob.isfinite().all()
    assert mean.min() >= 0
    assert mean.max() <= 1
    for value in (log_prob.sum(), mean.sum()):
        for gradient in torch.autograd.grad(value, [parameters, *likelihood.parameters()], allow_unused=True):
            assert gradient is None or gradient.isfinite().all()


@pytest.mark.parametrize("log_scale", [-1e3, 1e3])
def test_an_extreme_learned_scale_gives_finite_values_and_gradients(log_scale: float) -> None:
    likelihood = Gaussian()
    nn.init.constant_(likelihood.log_scale, log_scale)
    log_prob = likelihood.log_prob(torch.tensor([0.0, 1e3]).reshape(2, 1, 1, 1), torch.full((2, 1, 1, 1), 0.5)).sum()
    log_prob.backward()
    assert log_prob.isfinite()
    assert likelihood.log_scale.grad is not None
    assert likelihood.log_scale.grad.isfinite()


@pytest.mark.parametrize("kind", ALL.values())
def test_leading_dimensions_equal_a_loop(kind: type[Likelihood]) -> None:
    generator = torch.Generator().manual_seed(1)
    parameters = torch.randn(2, 3, 5, 3 * kind.parameters_per_value, 4, 2, generator=generator)
    x = torch.rand(5, 3, 4, 2, generator=generator)
    log_prob, mean = kind().log_prob(parameters, x), kind().mean(parameters)
    assert log_prob.shape == (2, 3, 5)
    assert mean.shape == (2, 3, *x.shape)
    for i, j in itertools.product(range(2), range(3)):
        torch.testing.assert_close(log_prob[i, j], kind().log_prob(parameters[i, j], x))
        torch.testing.assert_close(mean[i, j], kind().mean(parameters[i, j]))
    one = sum(kind().log_prob(parameters[0, 0, :, c::3], x[:, c : c + 1]) for c in range(3))
    torch.testing.assert_close(log_prob[0, 0], one)


@pytest.mark.parametrize("kind", ALL.values())
def test_results_are_on_the_device_of_the_parameters(kind: type[Likelihood]) -> None:
    parameters = torch.empty(2, 3 * kind.parameters_per_value, 4, 4, device="meta")
    likelihood = kind().to("meta")
    assert likelihood.log_prob(parameters, torch.empty(2, 3, 4, 4, device="meta")).is_meta
    assert likelihood.mean(parameters).is_meta


class MeanModule(nn.Module):
    def __init__(self, likelihood: Likelihood) -> None:
        super().__init__()
        self.likelihood = likelihood

    def forward(self, parameters: Tensor) -> Tensor:
        return self.likelihood.mean(parameters)


@pytest.mark.parametrize("kind", GREY.values())
def test_the_mean_can_be_exported(kind: type[Likelihood]) -> None:
    parameters = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(2))
    batch = {"parameters": {0: torch.export.Dim("batch", min=1)}}
    program = torch.export.export(MeanModule(kind()), (parameters,), dynamic_shapes=batch).module()
    torch.testing.assert_close(program(parameters[:2]), kind().mean(parameters[:2]))
