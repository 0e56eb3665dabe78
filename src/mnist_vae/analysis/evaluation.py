"""Evaluation of a trained run on its test images: metrics with standard errors, written to evaluation.json."""

import time
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from mnist_vae.analysis import metrics
from mnist_vae.analysis.encoding import encode_images
from mnist_vae.analysis.metrics import Estimate
from mnist_vae.analysis.nll import finished_weights, likelihood_values, resumable_weights
from mnist_vae.analysis.probes import CLASSIFIERS
from mnist_vae.data.batches import EVALUATION_BATCH, EVALUATION_SEED
from mnist_vae.models.posteriors import Posterior
from mnist_vae.models.vae import VAE
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.io import write_json
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.seeding import Noise

STAGES = ("ELBO", "encoding", *CLASSIFIERS)
TOTAL_CORRELATION_CODES = 1000  # its cost is proportional to codes * images * latent_dim


def evaluate(run: OpenRun, root: str | None = None, nll_samples: int = 0) -> dict[str, float | str]:
    """Evaluate a run on its test images and write evaluation.json (evaluation_last.json for the checkpoint `last`, and
    evaluation_prior-gmm.json with the prior `gmm` fitted to it).

    Args:
        run: the run, with one of its checkpoints loaded.
        root: folder of the data set, see OpenRun.data.
        nll_samples: importance samples per image for -log p(x), see nll.py; with 0, the result of an earlier call is
            included if there is one.

    Returns:
        Flat: `test/elbo`, `test/reconstruction`, `test/kl`, `test/mutual_information`, `test/marginal_kl` and
        `test/total_correlation` in nats per image, `test/knn_accuracy` and `test/logistic_regression_accuracy` in
        [0, 1], each with its `…_standard_error`; `test/active_units`; the values of nll.likelihood_values, if
        estimated; and the data set, checkpoint, prior and duration of the evaluation.

    Raises:
        DataError: the images are not available.
        SettingsError: the data settings are not valid.
    """
    start = time.perf_counter()
    # The whole training set, without a validation split, so that the classifiers of all runs are comparable.
    data = run.data(root, val_size=0)
    images, labels = data.fixed("test")
    with tqdm(total=len(STAGES), leave=False, disable=None, bar_format="{desc:<24}{bar}| {n}/{total}") as bar:
        bar.set_description("ELBO")
        estimates, posterior = _elbo_estimates(run.vae, images, labels)
        bar.update()
        bar.set_description("encoding")
        train_images, train_labels = data.fixed("train")
        train_means = encode_images(run.vae, train_images, train_labels).mean.numpy()
        bar.update()
        for name, classify in CLASSIFIERS.items():
            bar.set_description(name.replace("_", " "))
            predicted = classify(train_means, train_labels.numpy(), posterior.mean.numpy())
            estimates[f"{name}_accuracy"] = Estimate.of(torch.from_numpy(predicted) == labels)
            bar.update()
    values: dict[str, float | str] = {}
    for name, estimate in estimates.items():
        values |= {f"test/{name}": estimate.mean, f"test/{name}_standard_error": estimate.standard_error}
    if nll_samples:
        values |= likelihood_values(resumable_weights(run, images, labels, nll_samples))
    elif weights := finished_weights(run, images, labels):
        values |= likelihood_values(weights)
    values |= {
        "test/active_units": metrics.active_units(posterior.mean),
        "latent_dim": run.vae.latent_dim,
        "dataset": run.cfg.data.name,
        "binarize": run.cfg.data.binarize.name,
        "test_images": len(images),
        "classifier_images": len(train_images),
        "checkpoint": run.checkpoint,
        "prior": run.prior,
        "epochs": run.epochs,
        "complete": run.folder.complete,
        "seconds": round(time.perf_counter() - start, 3),
    }
    write_json(results_file(run), values)
    return values


def results_file(run: OpenRun) -> Path:
    """Path of a run's evaluation.json."""
    return run.folder.path / f"evaluation{run.suffix}.json"


@torch.no_grad()
def image_terms(vae: VAE, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the reconstruction and KL term of each image in nats, (n,) float64.

    Samples of z are those of the test at the end of training, so the means equal the metrics of the run.

    Args:
        images: uint8 (n, channels, height, width).
        labels: (n,), for a conditional VAE.
    """
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    terms = []
    for batch, given in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        noise = Noise(len(batch), generator=generator)
        batch_terms = vae.elbo_terms(to_unit(batch.to(vae.device)), noise, given)
        terms.append([term.cpu().double() for term in batch_terms])
    reconstruction, kl = zip(*terms, strict=True)
    return torch.cat(reconstruction), torch.cat(kl)


def _elbo_estimates(vae: VAE, images: Tensor, labels: Tensor) -> tuple[dict[str, Estimate], Posterior]:
    """Estimate the ELBO, its terms and the parts of the KL term; return them with the images' posteriors."""
    reconstruction, kl = image_terms(vae, images, labels)
    posterior = encode_images(vae, images, labels)
    noise = torch.randn(posterior.mean.shape, generator=torch.Generator().manual_seed(EVALUATION_SEED))
    z = posterior.rsample(noise)
    information = metrics.mutual_information(posterior, z)
    values = {
        "elbo": -(reconstruction + kl),
        "reconstruction": reconstruction,
        "kl": kl,
        "mutual_information": information,
        "marginal_kl": kl - information,
        "total_correlation": metrics.total_correlation(posterior, z[:TOTAL_CORRELATION_CODES]),
    }
    return {name: Estimate.of(value) for name, value in values.items()}, posterior
