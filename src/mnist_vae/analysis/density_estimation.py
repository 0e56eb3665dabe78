"""Ex-post density estimation: a prior fitted to the codes of a trained VAE, whose encoder and decoder stay as they are.

Ghosh et al. (2020), "From Variational to Deterministic Autoencoders", section 4. Codes are samples of q(z|x), drawn
anew in each epoch. So what is maximised is E log p(z) under q(z|x), the one term of the ELBO that depends on the prior:
the ELBO of the training images rises by as much, and with the fitted prior it is a lower bound on log p(x) as before.
"""

import copy
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from mnist_vae.analysis.encoding import ShowProgress
from mnist_vae.models.posteriors import Posterior
from mnist_vae.models.priors import Mixture, Prior, VampPrior

BATCH_SIZE = 500
LEARNING_RATE = 1e-3
PATIENCE = 5  # epochs without a gain after which a fit ends
MIN_GAIN = 1e-3  # nats
HELD_OUT_SEED = 20140414  # of the held-out codes: not the fit's, so that fits compare


class Fit(NamedTuple):
    """What a fit came to.

    Attributes:
        epochs: epochs after which the prior was the best one; 0 if it was the one that the fit began with.
        log_likelihood: mean log p(z) of held-out codes in nats.
    """

    epochs: int
    log_likelihood: float


def fit(
    prior: Prior,
    train: Posterior,
    held_out: Posterior,
    images: Tensor,
    seed: int = 0,
    max_epochs: int = 100,
    show_progress: ShowProgress = iter,
) -> Fit:
    """Fit a prior in place by maximum likelihood to samples of posteriors: mixtures by EM, other priors by Adam.

    The fit ends when the log-likelihood of held-out codes has not risen by MIN_GAIN for PATIENCE epochs. The prior is
    then that of the epoch with the highest one.

    Args:
        prior: p(z), with parameters.
        train: q(z|x) of the training images, on the CPU.
        held_out: q(z|x) of other images, on the CPU.
        images: the training images, uint8 (n, channels, height, width), from which a VampPrior's pseudo-inputs start.
        seed: of the codes, their order and the initial values.
        max_epochs: most epochs, each with one code of each image.
        show_progress: wrapper of the iterable of epochs, such as tqdm.

    Raises:
        ValueError: the prior has more components than there are images.
    """
    components = len(prior.components.mean) if isinstance(prior, Mixture | VampPrior) else 1
    if components > len(images):
        raise ValueError(f"components is {components}; it must be at most {len(images)}, the number of images")
    generator = torch.Generator().manual_seed(seed)
    if isinstance(prior, VampPrior):
        prior.start_from(images[torch.randperm(len(images), generator=generator)[:components]])
    epoch = _expectation_maximisation(prior, seed) if isinstance(prior, Mixture) else _gradient_ascent(prior, generator)
    best, weights, last_gain = Fit(0, log_likelihood(prior, held_out)), _weights(prior), 0
    for number in show_progress(range(1, max_epochs + 1)):
        epoch(_sample(train, generator))
        value = log_likelihood(prior, held_out)
        if value > best.log_likelihood + MIN_GAIN:
            last_gain = number
        if value > best.log_likelihood:
            best, weights = Fit(number, value), _weights(prior)
        if number - last_gain >= PATIENCE:
            break
    prior.load_state_dict(weights)
    return best


@torch.no_grad()
def log_likelihood(prior: Prior, posterior: Posterior) -> float:
    """Mean log p(z) of one code of each image in nats, the same codes for every prior.

    Args:
        posterior: q(z|x) of the images, on the CPU.
    """
    codes, fixed = _sample(posterior, torch.Generator().manual_seed(HELD_OUT_SEED)), prior.fixed()
    parts = [fixed.log_prob(part.to(_device(prior))).double() for part in codes.split(BATCH_SIZE)]
    return torch.cat(parts).mean().item()


def _expectation_maximisation(prior: Mixture, seed: int) -> Callable[[Tensor], None]:
    """An iteration of EM on the codes that it is given, (n, latent_dim); the first one starts from k-means."""
    count, covariance = len(prior.means), "diag" if prior.below is None else "full"
    estimator = GaussianMixture(count, covariance_type=covariance, max_iter=1, warm_start=True, random_state=seed)

    def epoch(codes: Tensor) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of a single iteration
            estimator.fit(codes.double().numpy())
        found = estimator.weights_, estimator.means_, estimator.covariances_
        prior.assign(*map(torch.from_numpy, found))

    return epoch


def _gradient_ascent(prior: Prior, generator: torch.Generator) -> Callable[[Tensor], None]:
    """An epoch of Adam on the codes that it is given, (n, latent_dim), in random order."""
    optimizer = torch.optim.Adam(prior.parameters(), LEARNING_RATE)

    def epoch(codes: Tensor) -> None:
        order = torch.randperm(len(codes), generator=generator)
        for batch in codes[order].to(_device(prior)).split(BATCH_SIZE):
            optimizer.zero_grad()
            (-prior.log_prob(batch).mean()).backward()
            optimizer.step()

    return epoch


def _sample(posterior: Posterior, generator: torch.Generator) -> Tensor:
    """One code of each image, (images, latent_dim)."""
    return posterior.rsample(torch.randn(posterior.mean.shape, generator=generator))


def _weights(prior: Prior) -> dict[str, Tensor]:
    return copy.deepcopy(prior.state_dict())


def _device(prior: Prior) -> torch.device:
    """Device of a prior's parameters; the CPU if it has none."""
    return next((parameter.device for parameter in prior.parameters()), torch.device("cpu"))
