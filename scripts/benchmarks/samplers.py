"""Suite `samplers`: p(z) fitted to the codes of one run, by scripts/fit_prior.py's densities and by pythae's samplers.

Both fit to samples of q(z|x) of the same training images, with default sizes; pythae draws one code of each image for
the whole fit, this project new ones in each epoch. They are compared by log p(z) of the same held-out codes, where
pythae's sampler has a density, and by the Fréchet distance of decoded samples.
"""

import math
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor

from benchmarks.competitors import copy_to_pythae, is_installed, pythae_model, silence
from benchmarks.results import Comparison, Measured, Results
from benchmarks.training import composed
from mnist_vae.analysis.density_estimation import BATCH_SIZE, LEARNING_RATE, fit, log_likelihood
from mnist_vae.analysis.encoding import encode_images
from mnist_vae.analysis.feature_classifier import feature_classifier
from mnist_vae.analysis.sample_quality import frechet_distance, sample_images
from mnist_vae.config.build import build_data, build_prior
from mnist_vae.data.datamodule import ImageDataModule
from mnist_vae.models.posteriors import Posterior
from mnist_vae.models.priors import Prior
from mnist_vae.models.vae import VAE
from mnist_vae.runs.fitted_priors import prior_config
from mnist_vae.runs.load import load_run
from mnist_vae.training.train import train
from mnist_vae.utils.errors import UserError
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.seeding import seed_everything

Density = Callable[[Tensor], Tensor]  # log p(z) of codes (n, latent_dim), (n,)


class Fitted(NamedTuple):
    """What was fitted.

    Attributes:
        log_prob: mean log p(z) of held-out codes in nats; NaN without a density.
        samples: images (n, channels, height, width) in [0, 1].
    """

    log_prob: float
    samples: Tensor


class Theirs(Prior):
    """The density of one of pythae's samplers."""

    def __init__(self, latent_dim: int, density: Density) -> None:
        super().__init__(latent_dim)
        self.density = density

    def log_prob(self, z: Tensor) -> Tensor:
        """See Prior."""
        return self.density(z)


def suite(rounds: int, overrides: list[str]) -> Results:
    """Fit to the codes of a default run; the flows for `rounds` epochs.

    Raises:
        UserError: pythae is not installed.
    """
    if not is_installed("pythae"):
        raise UserError("suite=samplers fits pythae's samplers beside ours: pip install pythae.")
    cfg = composed("callbacks=none", "logger=none", "trainer.enable_progress_bar=false", *overrides)
    with tempfile.TemporaryDirectory() as folder:
        train(cfg, folder)
        vae = load_run(folder)
    data = build_data(cfg)
    test, count = data.fixed("test"), len(data.fixed("test")[0])
    classifier = feature_classifier(data.fixed("train"), test, len(data.classes)).classifier
    reference = classifier.features(test[0])
    held_out = encode_images(vae, *data.fixed("val"))
    results, found = Results("samplers"), {}
    for name, fitted in [*_ours(vae, data, held_out, cfg, rounds), *_theirs(vae, data, held_out, cfg, rounds)]:
        distance = frechet_distance(classifier.features(fitted.samples), reference)
        found[name] = fitted.log_prob, distance
        if not math.isnan(fitted.log_prob):
            results.measured.append(Measured(f"{name}: log p(z)", "nats", [fitted.log_prob]))
        results.measured.append(Measured(f"{name}: Fréchet distance", "", [distance]))
    for ours, theirs in (("gmm", "pythae's GMM"), ("flow", "pythae's MAF")):
        difference = found[ours][0] - found[theirs][0]
        results.comparisons.append(Comparison(f"log p(z), {ours} - {theirs}", [difference], unit="nats"))
    results.notes.append(f"flows and the second stage: {rounds} epochs; {count:,} samples and test images")
    return results


def _ours(
    vae: VAE, data: ImageDataModule, held_out: Posterior, cfg: DictConfig, rounds: int
) -> Iterator[tuple[str, Fitted]]:
    train_images, labels = data.fixed("train")
    codes = encode_images(vae, train_images, labels)
    test_labels, trained = data.fixed("test")[1], vae.prior
    for density in ("N(0, I)", "gmm", "flow", "vamp"):
        prior = trained
        if density != "N(0, I)":
            seed_everything(cfg.seed)
            prior = build_prior(prior_config(density, {}), vae.latent_dim, vae.image_shape)
            prior.bind(vae.encode)
            fit(prior, codes, held_out, train_images, cfg.seed, max_epochs=100 if density == "gmm" else rounds)
        vae.use_prior(prior)
        yield density, Fitted(log_likelihood(prior, held_out), sample_images(vae, test_labels, data.binarize))
    vae.use_prior(trained)


def _theirs(
    vae: VAE, data: ImageDataModule, held_out: Posterior, cfg: DictConfig, rounds: int
) -> Iterator[tuple[str, Fitted]]:
    from pythae import samplers

    count = len(data.fixed("test")[0])
    twin = pythae_model("VAE", tuple(cfg.model.hidden_dims), cfg.latent_dim)
    copy_to_pythae(vae, twin)
    twin.eval()
    train_images, val_images = (to_unit(data.fixed(split)[0]).flatten(1) for split in ("train", "val"))
    for name, kind, density in (
        ("pythae's GMM", samplers.GaussianMixtureSampler, mixture_density),
        ("pythae's MAF", samplers.MAFSampler, flow_density),
        ("pythae's two stages", samplers.TwoStageVAESampler, None),
    ):
        seed_everything(cfg.seed)
        sampler = kind(twin)
        with tempfile.TemporaryDirectory() as folder, silence():
            if density is mixture_density:
                sampler.fit(train_images)
            else:
                sampler.fit(train_images, val_images, training_config=_training(folder, rounds))
            samples = sampler.sample(count, return_gen=True).detach().cpu().reshape(count, *vae.image_shape)
        prior = density and Theirs(vae.latent_dim, density(sampler))
        yield name, Fitted(log_likelihood(prior, held_out) if prior else math.nan, samples)


def mixture_density(sampler: Any) -> Density:
    return lambda z: torch.from_numpy(sampler.gmm.score_samples(z.numpy()))


def flow_density(sampler: Any) -> Density:
    flow = sampler.maf_model.eval()

    @torch.no_grad()
    def log_prob(z: Tensor) -> Tensor:
        found = flow(z)
        return sampler.prior.log_prob(found.out).reshape(len(z)) + found.log_abs_det_jac

    return log_prob


def _training(folder: str, epochs: int) -> Any:
    """The settings with which this project's flow is fitted."""
    from pythae.trainers import BaseTrainerConfig

    return BaseTrainerConfig(
        output_dir=folder,
        num_epochs=epochs,
        learning_rate=LEARNING_RATE,
        per_device_train_batch_size=BATCH_SIZE,
        optimizer_cls="Adam",
        no_cuda=True,
    )
