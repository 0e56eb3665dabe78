"""Likelihoods under which the values of an image are independent given z."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnist_vae.models.likelihoods.base import Likelihood
from mnist_vae.models.posteriors.base import LOG_2PI, clamp

MAX_LEVEL = 255  # grey levels are 0, ..., 255
GAUSSIAN_MIN_LOG_SCALE = -6.0
# exp(-7) is a quarter of a grey level; at exp(5) nearly all mass is at 0 and 255, and the mean is still accurate in
# float32.
LOGISTIC_LOG_SCALES = -7.0, 5.0
# At this logit both the cancellation of the closed forms in float32 and the truncation error of the series are about
# 1e-6 or less.
SERIES_BELOW = 0.1


class Bernoulli(Likelihood):
    """Independent pixels in {0, 1}, parameterised by logits: Kingma & Welling (2014), appendix C.1.

    Grey levels in (0, 1) are accepted as probabilities, as is common on MNIST: `log_prob` is then the expected
    log-likelihood of pixels drawn from them.
    """

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """See Likelihood; the parameters are logits."""
        return _log_bernoulli(parameters, x).flatten(-3).sum(dim=-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return torch.sigmoid(parameters)


class ContinuousBernoulli(Likelihood):
    """Independent grey levels in [0, 1], parameterised by logits: the Bernoulli probability, normalised as a density.

    Loaiza-Ganem & Cunningham (2019), section 3, with lambda = sigmoid(logit).
    """

    grey_only = True

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """See Likelihood; the parameters are logits."""
        term = _log_bernoulli(parameters, x) + self._log_constant(parameters)
        return term.flatten(-3).sum(dim=-1)

    def mean(self, parameters: Tensor) -> Tensor:
        """1 / (1 - e^-l) - 1 / l for a logit l, in a form that does not overflow."""
        near, small, rest = _split_at_zero(parameters)
        series = small / 12 - small**3 / 720
        return 0.5 + torch.where(near, series, 0.5 / torch.tanh(0.5 * rest) - 1 / rest)

    @staticmethod
    def _log_constant(logits: Tensor) -> Tensor:
        """Log of the normalising constant C = 2 artanh(1 - 2 lambda) / (1 - 2 lambda) = l / tanh(l / 2), l a logit."""
        near, small, rest = _split_at_zero(logits)
        series = math.log(2) + small**2 / 12 - 7 * small**4 / 1440
        return torch.where(near, series, torch.log(rest / torch.tanh(0.5 * rest)))


class Gaussian(Likelihood):
    """Grey levels with mean given by the decoder and one learned scale, shared by all pixels: the sigma-VAE.

    Rybkin, Daniilidis & Levine (2021). As in the authors' code, the log-scale is -6 + softplus(log_scale + 6), so the
    scale is exp(log_scale) + exp(-6). Without that lower bound the scale could converge to 0 and the density, which
    has no upper bound, could diverge.

    Args:
        scale: initial value of exp(log_scale), in the units of x.

    Raises:
        ValueError: `scale` is not positive and finite.
    """

    grey_only = True

    def __init__(self, scale: float = 0.1) -> None:
        if not 0 < scale < math.inf:
            raise ValueError(f"scale is {scale}; it must be above 0, and finite")
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """See Likelihood; the parameters are means."""
        log_scale = GAUSSIAN_MIN_LOG_SCALE + F.softplus(self.log_scale - GAUSSIAN_MIN_LOG_SCALE)
        deviation = (x - parameters) * torch.exp(-log_scale)
        term = -0.5 * (deviation.square() + LOG_2PI) - log_scale
        return term.flatten(-3).sum(dim=-1)

    def mean(self, parameters: Tensor) -> Tensor:
        """The decoder's output, clamped to [0, 1]."""
        return parameters.clamp(0, 1)


class DiscretizedLogistic(Likelihood):
    """Independent grey levels k / 255: a logistic variable, rounded to the nearest of 256 levels, as x is.

    Salimans et al. (2017), equation 2, with one component; before, Kingma et al. (2016), appendix. The bins of levels
    0 and 255 extend to infinity. It is a probability, not a density, so -log p(x|z) is a code length.
    """

    parameters_per_value = 2
    grey_only = True

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """See Likelihood; the parameters are means, then log-scales, in the units of x."""
        mean, scale = self._mean_and_scale(parameters)
        level = torch.round(x * MAX_LEVEL)
        below = F.logsigmoid(((level + 0.5) / MAX_LEVEL - mean) / scale)
        above = F.logsigmoid((mean - (level - 0.5) / MAX_LEVEL) / scale)
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - e^(b - a)): no difference of nearly equal numbers.
        both = below + above + torch.log(-torch.expm1(-1 / (MAX_LEVEL * scale)))
        term = torch.where(level <= 0, below, torch.where(level >= MAX_LEVEL, above, both))
        return term.flatten(-3).sum(dim=-1)

    def mean(self, parameters: Tensor) -> Tensor:
        """E[x|z] without the rounding, exact to half a grey level: the integral over t in [0, 1] of P(logistic > t)."""
        mean, scale = self._mean_and_scale(parameters)
        integral = scale * (F.softplus(mean / scale) - F.softplus((mean - 1) / scale))
        return integral.clamp(0, 1)  # rounding errors may exceed the interval

    @staticmethod
    def _mean_and_scale(parameters: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = parameters.chunk(2, dim=-3)
        return mean, torch.exp(clamp(raw, *LOGISTIC_LOG_SCALES))


def _log_bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    """x log p + (1 - x) log(1 - p) of each value, p = sigmoid(logit)."""
    # From logits rather than log(sigmoid(.)), which would be -inf for large logits.
    return -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")


def _split_at_zero(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split logits for functions that need a series expansion about 0, where their closed form is 0 / 0.

    Returns:
        Where to use the series, (...) bool; the logits for the series, 0 elsewhere; and the logits for the closed
        form, 1 elsewhere. The placeholders keep gradients finite: torch.where selects values, but propagates NaN
        gradients of the branch that was not selected.
    """
    near = logits.abs() < SERIES_BELOW
    return near, torch.where(near, logits, 0.0), torch.where(near, 1.0, logits)
