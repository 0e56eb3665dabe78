"""Likelihoods p(x|z): what the decoder's output means."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnist_vae.models.posteriors import LOG_2PI

WHITE = 255  # of grey levels 0, ..., 255
GAUSSIAN_MIN_LOG_SCALE = -6.0
# exp(-7) is a quarter of a grey level; at exp(5) nearly all is black or white, and float32 still gives the mean.
LOGISTIC_LOG_SCALES = -7.0, 5.0
# There both float32's cancellation in the formulas and what the series leave out are about 1e-6 or less.
SERIES_BELOW = 0.1


class Likelihood(nn.Module):
    """p(x|z) of an image, whose values are independent given z. A subclass sets and has:

    - `parameters_per_value`: numbers that the decoder gives for each value of the image;
    - `grey_only`: whether it is a distribution of grey levels, so that binarised pixels make no sense under it.
    """

    parameters_per_value = 1
    grey_only = False

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) in nats per image, summed over its values, (..., images).

        Args:
            parameters: the decoder's output, (..., images, parameters_per_value * channels, height, width).
            x: pixels in [0, 1], (images, channels, height, width).
        """
        raise NotImplementedError

    def mean(self, parameters: Tensor) -> Tensor:
        """E[x|z], the image to show, in [0, 1]: (..., images, channels, height, width)."""
        raise NotImplementedError


class Bernoulli(Likelihood):
    """Independent pixels in {0, 1}, given by their logits. Kingma & Welling (2014), appendix C.1.

    Grey levels in (0, 1) are accepted as probabilities, as is the custom on MNIST: the term is then the
    expected log-likelihood of pixels drawn from them.
    """

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """See Likelihood; the parameters are logits."""
        return _log_bernoulli(parameters, x).flatten(-3).sum(dim=-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return torch.sigmoid(parameters)


class ContinuousBernoulli(Likelihood):
    """Independent grey levels in [0, 1], given by logits: a density proportional to that of Bernoulli, normalised.

    Loaiza-Ganem & Cunningham (2019), section 3, who give it by lambda = sigmoid(logit).
    """

    grey_only = True

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """See Likelihood; the parameters are logits."""
        term = _log_bernoulli(parameters, x) + self._log_constant(parameters)
        return term.flatten(-3).sum(dim=-1)

    def mean(self, parameters: Tensor) -> Tensor:
        """1 / (1 - e^-l) - 1 / l for a logit l, written so that nothing overflows."""
        near, small, rest = _split_at_zero(parameters)
        series = small / 12 - small**3 / 720
        return 0.5 + torch.where(near, series, 0.5 / torch.tanh(0.5 * rest) - 1 / rest)

    @staticmethod
    def _log_constant(logits: Tensor) -> Tensor:
        """log C: the paper's C = 2 artanh(1 - 2 lambda) / (1 - 2 lambda) is l / tanh(l / 2) for a logit l."""
        near, small, rest = _split_at_zero(logits)
        series = math.log(2) + small**2 / 12 - 7 * small**4 / 1440
        return torch.where(near, series, torch.log(rest / torch.tanh(0.5 * rest)))


class Gaussian(Likelihood):
    """Grey levels around the decoder's output, with one scale for all, learned with the networks: the sigma-VAE.

    Rybkin, Daniilidis & Levine (2021), with the scale that is shared by all pixels. As in the authors' code its
    logarithm is -6 + softplus(log_scale + 6), so that the scale itself is exp(log_scale) + exp(-6): a density has no
    upper limit, and images that are reconstructed ever better would pull an unbounded scale to 0.

    Args:
        scale: exp(log_scale) at first; white is 1.

    Raises:
        ValueError: the scale isn't above 0 and finite.
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
        """The decoder's output, brought to [0, 1] to be shown."""
        return parameters.clamp(0, 1)


class DiscretizedLogistic(Likelihood):
    """Independent grey levels k / 255: a logistic variable, rounded to the nearest of the 256. So is x itself.

    Salimans et al. (2017), equation 2, with one component; before, Kingma et al. (2016), appendix. The bins of black
    and white reach to infinity. It is a probability, not a density: its nats can be those of a code.
    """

    parameters_per_value = 2
    grey_only = True

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """See Likelihood; the parameters are means, then log-scales, in the units of x."""
        mean, scale = self._mean_and_scale(parameters)
        level = torch.round(x * WHITE)
        below = F.logsigmoid(((level + 0.5) / WHITE - mean) / scale)
        above = F.logsigmoid((mean - (level - 0.5) / WHITE) / scale)
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - e^(b - a)): no difference of nearly equal numbers.
        both = below + above + torch.log(-torch.expm1(-1 / (WHITE * scale)))
        term = torch.where(level <= 0, below, torch.where(level >= WHITE, above, both))
        return term.flatten(-3).sum(dim=-1)

    def mean(self, parameters: Tensor) -> Tensor:
        """E[x|z] but for the rounding, so within half a grey level: the integral over [0, 1] of P(logistic > t)."""
        mean, scale = self._mean_and_scale(parameters)
        integral = scale * (F.softplus(mean / scale) - F.softplus((mean - 1) / scale))
        return integral.clamp(0, 1)  # which it is but for rounding errors

    @staticmethod
    def _mean_and_scale(parameters: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = parameters.chunk(2, dim=-3)
        bounded = raw.clamp(*LOGISTIC_LOG_SCALES)
        # Gradients pass straight through, so that one beyond is still pulled back.
        return mean, torch.exp(bounded.detach() + (raw - raw.detach()))


def _log_bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    """x log p + (1 - x) log(1 - p) of each value."""
    # From logits, never log(sigmoid(.)): finite and exact however certain the decoder is.
    return -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")


def _split_at_zero(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where a series about 0 is to be used, the logits for it, and those for the formula that is 0 / 0 there.

    Each has harmless values in the other's places: torch.where keeps out values, but not the gradient's nan.
    """
    near = logits.abs() < SERIES_BELOW
    return near, torch.where(near, logits, 0.0), torch.where(near, 1.0, logits)
