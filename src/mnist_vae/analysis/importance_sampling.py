"""The likelihood of images under a VAE, by importance sampling with the encoder's q(z|x) as proposal.

Burda et al. (2016), equation 8, and Rezende et al. (2014), appendix E: with z_1 … z_k drawn from q(z|x),

    log p(x) ≈ log 1/k Σ w_i,    w_i = p(x|z_i) p(z_i) / q(z_i|x).

The estimate is below log p(x) in expectation, whatever q is, and rises to it with k.
"""

import math
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import Tensor

from mnist_vae.models.likelihoods import Bernoulli
from mnist_vae.models.posteriors import Posterior, mapped
from mnist_vae.models.priors import Prior
from mnist_vae.models.vae import VAE
from mnist_vae.utils.seeding import derived_seed

BATCH = 1000  # images encoded at once
DRAWS = 2000  # samples of an image drawn at once
CPU_CHUNK = 250  # samples decoded at once: 0.8 MB of logits of 28x28 pixels, which stay in a core's cache
FACTORS = 112  # each of 1/2 or more, whose product is still a normal float32: 2^-126 is the least


class Weights(NamedTuple):
    """The k importance weights of each image, summed: all that the estimates need, whatever k is.

    Attributes:
        k: weights per image.
        log_sum: log Σ w_i, (images,) float64.
        log_sum_squares: log Σ w_i², (images,) float64.
    """

    k: int
    log_sum: Tensor
    log_sum_squares: Tensor

    @classmethod
    def of(cls, k: int, images: list[Tensor]) -> "Weights":
        """From what `each_image` gives."""
        log_sum, log_sum_squares = torch.stack(images).unbind(dim=1)
        return cls(k, log_sum, log_sum_squares)

    @property
    def log_likelihood(self) -> Tensor:
        """log 1/k Σ w_i in nats, (images,)."""
        return self.log_sum - math.log(self.k)

    @property
    def effective_samples(self) -> Tensor:
        """(Σ w_i)² / Σ w_i², (images,): from 1, where one weight outweighs all others, to k, where all are equal.

        Kong (1992); Owen (2013), "Monte Carlo theory, methods and examples", section 9.3.
        """
        return torch.exp(2 * self.log_sum - self.log_sum_squares)

    @property
    def monte_carlo_error(self) -> Tensor:
        """How far `log_likelihood` would scatter over other draws, in nats, (images,); NaN for k = 1.

        The delta method's standard deviation of log w̄, which is sqrt(var(w)/k) / w̄. The estimate lies below log p(x)
        by about half its square. With few effective samples it is itself too small: the large weights were not met.
        """
        excess = (self.k / self.effective_samples - 1).clamp(min=0)  # var(w) (k-1)/k / w̄²; rounded, it may be below 0
        return (excess / (self.k - 1)).sqrt() if self.k > 1 else torch.full_like(excess, math.nan)


def importance_weights(vae: VAE, x: Tensor, labels: Tensor, k: int, seed: int, chunk: int | None = None) -> Weights:
    """The weights of all images; see `each_image` for the arguments."""
    return Weights.of(k, list(each_image(vae, x, labels, k, seed, chunk=chunk)))


def each_image(
    vae: VAE, x: Tensor, labels: Tensor, k: int, seed: int, start: int = 0, chunk: int | None = None
) -> Generator[Tensor, None, None]:
    """log Σ w_i and log Σ w_i² of one image after the other, (2,) float64 on the CPU.

    Memory is bounded whatever k is. An image's draws depend on the seed and on its place alone, so a later start
    gives what the whole would have given from there.

    Args:
        vae: in evaluation mode.
        x: images (n, channels, height, width) in [0, 1].
        labels: (n,), for a conditional VAE; others ignore them.
        k: samples per image.
        start: the first image wanted.
        chunk: samples decoded at once; what suits the device if None. It changes nothing but rounding.
    """
    chunk = chunk or (CPU_CHUNK if vae.device.type == "cpu" else DRAWS)
    with _workers(vae.device) as pool:
        prior = pool.submit(_fixed, vae).result()
        for first in range(start - start % BATCH, len(x), BATCH):
            batch, given = (values[first : first + BATCH].to(vae.device) for values in (x, labels))
            q = pool.submit(_encode, vae, batch, given).result()
            tasks = []
            for i in range(max(0, start - first), len(batch)):
                one = slice(i, i + 1)
                key = derived_seed(seed, first + i)
                q_one = mapped(q, itemgetter(one))
                tasks.append(pool.submit(_sums, vae, prior, q_one, batch[one], given[one], k, chunk, key))
            for task in tasks:
                yield task.result()


@contextmanager
def _workers(device: torch.device) -> Iterator[ThreadPoolExecutor]:
    """Threads for whole images. Those of torch would wait for one another after every operation, for ever longer the
    busier the machine is; and sums would be rounded according to their number."""
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads if device.type == "cpu" else 1, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # part of it is of the whole process


@torch.inference_mode()
def _encode(vae: VAE, x: Tensor, labels: Tensor) -> Posterior:
    return vae.encode(x, labels)


@torch.inference_mode()
def _fixed(vae: VAE) -> Prior:
    return vae.prior.fixed()


@torch.inference_mode()
def _sums(vae: VAE, prior: Prior, q: Posterior, x: Tensor, label: Tensor, k: int, chunk: int, seed: int) -> Tensor:
    """log Σ w_i and log Σ w_i² of one image x (1, channels, height, width), (2,) float64 on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    sums = torch.full((2,), -math.inf, dtype=torch.float64, device=x.device)
    for done in range(0, k, DRAWS):
        draws = torch.randn(min(DRAWS, k - done), 1, vae.latent_dim, generator=generator).to(x.device)
        log_w = _log_weights(vae, prior, q, x, label, q.rsample(draws), chunk)
        sums = torch.logaddexp(sums, torch.stack([log_w, 2 * log_w]).logsumexp(dim=1))
    return sums.cpu()


def _log_weights(vae: VAE, prior: Prior, q: Posterior, x: Tensor, label: Tensor, z: Tensor, chunk: int) -> Tensor:
    """log p(x|z) + log p(z) - log q(z|x) for codes z (samples, 1, latent_dim) of one image, (samples,) float64."""
    # Only of Bernoulli itself: a class derived from it may mean something else.
    log_prob = bernoulli_log_prob_ if type(vae.likelihood) is Bernoulli else vae.likelihood.log_prob
    log_likelihood = torch.cat([log_prob(vae.decode_parameters(part, label), x) for part in z.split(chunk)])
    return (log_likelihood.double() + prior.log_prob(z).double() - q.log_prob(z).double()).flatten()


def bernoulli_log_prob_(logits: Tensor, x: Tensor) -> Tensor:
    """What Bernoulli.log_prob gives for one image, several times faster; it overwrites the logits.

    Of a pixel it is x l - max(l, 0) + log σ(|l|). FACTORS pixels share one logarithm, σ(|l|) being from 1/2 to 1.

    Args:
        logits: (samples, 1, channels, height, width).
        x: (1, channels, height, width).

    Returns:
        (samples, 1).
    """
    flat = logits.flatten(1)
    # Subtracted before the sum: where the decoder is certain and right, two large numbers cancel.
    missed = flat.clamp(min=0).addcmul_(flat, x.flatten(), value=-1).sum(dim=1)
    factors = flat.abs_().sigmoid_().split(FACTORS, dim=1)
    return (torch.stack([part.prod(dim=1) for part in factors]).log().sum(dim=0) - missed)[:, None]
