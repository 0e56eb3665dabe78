"""Suite `nll`: log p(x) by importance sampling, beside the straightforward form and pythae's, of the same weights."""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.competitors import copy_to_pythae, is_installed, pythae_model
from benchmarks.results import Comparison, Measured, Results
from benchmarks.training import composed
from mnist_vae.analysis.importance_sampling import importance_weights
from mnist_vae.config.build import build_data, build_vae
from mnist_vae.models.vae import VAE
from mnist_vae.objectives import ELBO
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.seeding import Noise, seed_everything

IMAGES = 10  # in each round
SAMPLES = 5000
STEPS = 200  # of training, so that the likelihoods are none of random weights
PART = 500  # samples decoded at once by the others, as many as fit their taste


@torch.no_grad()
def suite(rounds: int, overrides: list[str]) -> Results:
    """5,000 samples of each of a few test images."""
    cfg = composed("latent_dim=20", *overrides)
    data = build_data(cfg)
    seed_everything(cfg.seed)
    vae = build_vae(cfg, data.image_shape)
    _train(vae, data.train_split[0])
    vae.eval()
    images, labels = data.fixed("test")
    forms: dict[str, Callable[[Tensor], float]] = {
        "ours": lambda x: -float(importance_weights(vae, x, labels, SAMPLES, seed=0).log_likelihood.mean()),
        "straightforward form": lambda x: straightforward(vae, x),
    }
    if is_installed("pythae"):
        twin = pythae_model().eval()
        copy_to_pythae(vae, twin)
        forms["pythae's get_nll"] = lambda x: -float(twin.get_nll(x.flatten(1), n_samples=SAMPLES, batch_size=PART))
    rates: dict[str, list[float]] = {name: [] for name in forms}
    nll: dict[str, list[float]] = {name: [] for name in forms}
    for number in range(rounds + 1):
        x = to_unit(images[torch.arange(number * IMAGES, (number + 1) * IMAGES) % len(images)])
        for name, form in forms.items():
            start = time.perf_counter()
            nll[name].append(form(x))
            rates[name].append(len(x) * SAMPLES / (time.perf_counter() - start))
    measured = {name: Measured(name, "images x samples/s", values[1:]) for name, values in rates.items()}
    comparisons = [
        Comparison.quotient(f"ours / {name}", measured["ours"], measured[name], target, "at least")
        for name, target in (("straightforward form", None), ("pythae's get_nll", 2.5))
        if name in measured
    ]
    means = ", ".join(f"{name} {sum(values) / len(values):.3f}" for name, values in nll.items())
    note = f"{IMAGES} images x {SAMPLES:,} samples a round; mean NLL over all rounds: {means}"
    return Results("nll", list(measured.values()), comparisons, [note])


def straightforward(vae: VAE, x: Tensor) -> float:
    """As the formula stands: for each image codes, logits, and the sum of each pixel's cross-entropy."""
    total = 0.0
    for image in x:
        posterior = vae.encode(image[None])
        mean, log_var = posterior.mean, posterior.log_var
        log_w = []
        for _ in range(SAMPLES // PART):
            noise = torch.randn(PART, mean.shape[1])
            z = mean + torch.exp(0.5 * log_var) * noise
            logits = vae.decode_parameters(z)
            log_likelihood = -F.binary_cross_entropy_with_logits(logits, image.expand_as(logits), reduction="none").sum(
                dim=(1, 2, 3)
            )
            log_w.append(log_likelihood - 0.5 * (z.square() - noise.square() - log_var).sum(dim=1))
        total += float(torch.cat(log_w).logsumexp(dim=0)) - math.log(SAMPLES)
    return -total / len(x)


@torch.enable_grad()
def _train(vae: VAE, images: Tensor) -> None:
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
    objective = ELBO()
    for indices in torch.randint(len(images), (STEPS, 128)):
        terms = objective(vae, to_unit(images[indices]), None, 0.0, Noise(128))
        optimizer.zero_grad()
        terms.loss.mean().backward()
        optimizer.step()
