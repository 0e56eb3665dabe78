"""Importance-sampled estimate of log p(x), with q(z|x) as the proposal distribution.

Rezende et al. (2014); as a bound of k samples, Burda et al. (2016), equation 8: with z_1 … z_k drawn from q(z|x),

    log p(x) ≈ log 1/k Σ w_i,    w_i = p(x|z_i) p(z_i) / q(z_i|x).

In expectation the estimate is a lower bound on log p(x), for any q, which becomes tight as k increases.
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

SUMS = 3  # kept of each image's weights: log Σ w_i of both halves, log Σ w_i²
BATCH_SIZE = 1000  # images encoded at once
MAX_SAMPLES = 2000  # samples of an image drawn at once
CPU_CHUNK = 250  # samples decoded at once: 0.8 MB of logits of 28x28 pixels, which fit in a core's cache
FACTORS = 112  # factors of 1/2 or more whose product is still a normal float32, at least 2^-126


class ImportanceWeights(NamedTuple):
    """Sums over the k importance weights of each image, from which all estimates are computed.

    Attributes:
        k: weights per image.
        log_half_sums: log Σ w_i of the first k // 2 weights and of the others, (images, 2) float64; -inf for none.
        log_sum_squares: log Σ w_i², (images,) float64.
    """

    k: int
    log_half_sums: Tensor
    log_sum_squares: Tensor

    @classmethod
    def of(cls, k: int, log_sums: list[Tensor]) -> "ImportanceWeights":
        """Collect the results of `iter_log_sums`."""
        stacked = torch.stack(log_sums)
        return cls(k, stacked[:, :2], stacked[:, 2])

    @property
    def log_sum(self) -> Tensor:
        """log Σ w_i, (images,)."""
        return self.log_half_sums.logsumexp(dim=1)

    @property
    def log_likelihood(self) -> Tensor:
        """Estimate L_k = log 1/k Σ w_i of log p(x) in nats, (images,)."""
        return self.log_sum - math.log(self.k)

    @property
    def log_likelihood_of_halves(self) -> Tensor:
        """Estimate with half as many weights, L_{k/2}: the mean over both halves, (images,); NaN for k = 1.

        Both halves are used because their mean varies less than either. By Jensen's inequality it is at most
        `log_likelihood`, up to rounding, for an even k. The difference estimates what doubling the weights gains, and
        so the remaining bias of L_k where that falls as 1/k; it falls more slowly where few weights dominate the sum.
        """
        if self.k == 1:
            return torch.full_like(self.log_sum_squares, math.nan)
        sizes = torch.tensor([self.k // 2, self.k - self.k // 2], dtype=torch.float64)
        return (self.log_half_sums - sizes.log()).mean(dim=1)

    @property
    def effective_samples(self) -> Tensor:
        """Effective sample size (Σ w_i)² / Σ w_i², (images,): 1 if one weight dominates, k if all are equal.

        Kong (1992); Owen (2013), "Monte Carlo theory, methods and examples", section 9.3.
        """
        return torch.exp(2 * self.log_sum - self.log_sum_squares)

    @property
    def monte_carlo_error(self) -> Tensor:
        """Standard deviation of `log_likelihood` over repetitions in nats, (images,); NaN for k = 1.

        By the delta method, that of log w̄ is sqrt(var(w)/k) / w̄. The bias of `log_likelihood` is about -1/2 times its
        square. With few effective samples it is underestimated, because large weights are missing from the sample.
        """
        excess = (self.k / self.effective_samples - 1).clamp(
            min=0
        )  # var(w) (k-1)/k / w̄²; rounding may make it negative
        return (excess / (self.k - 1)).sqrt() if self.k > 1 else torch.full_like(excess, math.nan)


def importance_weights(
    vae: VAE, x: Tensor, labels: Tensor, k: int, seed: int, chunk: int | None = None
) -> ImportanceWeights:
    """Compute the importance weights of all images; see `iter_log_sums` for the arguments."""
    return ImportanceWeights.of(k, list(iter_log_sums(vae, x, labels, k, seed, chunk=chunk)))


def iter_log_sums(
    vae: VAE, x: Tensor, labels: Tensor, k: int, seed: int, start: int = 0, chunk: int | None = None
) -> Generator[Tensor, None, None]:
    """Iterate over images and yield the sums of ImportanceWeights of each, (SUMS,) float64 on the CPU.

    Memory does not depend on k. The samples of an image depend on the seed and its index only, so iterating from
    `start` yields the same values as a full iteration does from there.

    Args:
        vae: model in evaluation mode.
        x: images (n, channels, height, width) in [0, 1].
        labels: (n,), for a conditional VAE; ignored by others.
        k: samples per image.
        seed: seed of the samples.
        start: index of the first image.
        chunk: samples decoded at once; chosen by device if None. It affects rounding only.
    """
    chunk = chunk or (CPU_CHUNK if vae.device.type == "cpu" else MAX_SAMPLES)
    with _thread_pool(vae.device) as pool:
        prior = pool.submit(_fixed, vae).result()
        for first in range(start - start % BATCH_SIZE, len(x), BATCH_SIZE):
            batch, given = (values[first : first + BATCH_SIZE].to(vae.device) for values in (x, labels))
            q = pool.submit(_encode, vae, batch, given).result()
            tasks = []
            for i in range(max(0, start - first), len(batch)):
                one = slice(i, i + 1)
                image_seed = derived_seed(seed, first + i)
                q_one = mapped(q, itemgetter(one))
                tasks.append(pool.submit(_log_sums, vae, prior, q_one, batch[one], given[one], k, chunk, image_seed))
            for task in tasks:
                yield task.result()


@contextmanager
def _thread_pool(device: torch.device) -> Iterator[ThreadPoolExecutor]:
    """Pool of single-threaded workers, each of which processes whole images.

    Torch's own threads would be synchronised after every operation, which is slow on a busy machine, and their number
    would affect the rounding of sums.
    """
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads if device.type == "cpu" else 1, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # the workers' setting partly affects the whole process


@torch.inference_mode()
def _encode(vae: VAE, x: Tensor, labels: Tensor) -> Posterior:
    return vae.encode(x, labels)


@torch.inference_mode()
def _fixed(vae: VAE) -> Prior:
    return vae.prior.fixed()


@torch.inference_mode()
def _log_sums(vae: VAE, prior: Prior, q: Posterior, x: Tensor, label: Tensor, k: int, chunk: int, seed: int) -> Tensor:
    """Compute the sums of ImportanceWeights of one image x (1, channels, height, width), (SUMS,) float64 on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    sums = torch.full((SUMS,), -math.inf, dtype=torch.float64, device=x.device)
    for done in range(0, k, MAX_SAMPLES):
        noise = torch.randn(min(MAX_SAMPLES, k - done), 1, vae.latent_dim, generator=generator).to(x)
        z, log_q = q.rsample_and_log_prob(noise)
        log_w = _log_weights(vae, prior, x, label, z, log_q, chunk)
        first, second = log_w.tensor_split([max(0, k // 2 - done)])
        sums = torch.logaddexp(sums, torch.stack([part.logsumexp(dim=0) for part in (first, second, 2 * log_w)]))
    return sums.cpu()


def _log_weights(vae: VAE, prior: Prior, x: Tensor, label: Tensor, z: Tensor, log_q: Tensor, chunk: int) -> Tensor:
    """log p(x|z) + log p(z) - log q(z|x) of codes z (samples, 1, latent_dim) of one image, (samples,) float64."""
    # Not for subclasses, which may override log_prob.
    log_prob = bernoulli_log_prob_ if type(vae.likelihood) is Bernoulli else vae.likelihood.log_prob
    log_likelihood = torch.cat([log_prob(vae.decode_parameters(part, label), x) for part in z.split(chunk)])
    return (log_likelihood.double() + prior.log_prob(z).double() - log_q.double()).flatten()


def bernoulli_log_prob_(logits: Tensor, x: Tensor) -> Tensor:
    """Compute Bernoulli.log_prob for one image, several times faster; overwrites the logits.

    For a pixel x with logit l it is x l - max(l, 0) + log σ(|l|). Since σ(|l|) is in [1/2, 1], one logarithm of a
    product serves FACTORS pixels.

    Args:
        logits: (samples, 1, channels, height, width).
        x: (1, channels, height, width).

    Returns:
        (samples, 1).
    """
    flat = logits.flatten(1)
    # max(l, 0) - x l is computed before the sum over pixels: for large logits of the right sign, both cancel.
    excess = flat.clamp(min=0).addcmul_(flat, x.flatten(), value=-1).sum(dim=1)
    factors = flat.abs_().sigmoid_().split(FACTORS, dim=1)
    return (torch.stack([part.prod(dim=1) for part in factors]).log().sum(dim=0) - excess)[:, None]
