"""Likelihoods p(x|z), parameterised by the decoder's output."""

from mnist_vae.models.likelihoods.autoregressive import Autoregressive
from mnist_vae.models.likelihoods.base import Likelihood
from mnist_vae.models.likelihoods.independent import Bernoulli, ContinuousBernoulli, DiscretizedLogistic, Gaussian

__all__ = ["Autoregressive", "Bernoulli", "ContinuousBernoulli", "DiscretizedLogistic", "Gaussian", "Likelihood"]
