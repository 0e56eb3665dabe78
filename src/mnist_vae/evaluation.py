"""All that is reported of a trained run, with standard errors: evaluation.json."""

import time
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from mnist_vae import metrics
from mnist_vae.data import EVALUATION_BATCH, EVALUATION_SEED
from mnist_vae.encoding import encode_images, to_unit
from mnist_vae.files import write_json
from mnist_vae.loading import OpenRun
from mnist_vae.metrics import Estimate
from mnist_vae.noise import Noise
from mnist_vae.posteriors import DiagonalGaussian
from mnist_vae.representation import CLASSIFIERS
from mnist_vae.vae import VAE

STAGES = ("ELBO", "encoding", *CLASSIFIERS)


def evaluate(run: OpenRun, root: str | None = None) -> dict[str, float | str]:
    """Evaluate a run on its test images, and write evaluation.json into its folder.

    For the checkpoint `last` it is evaluation_last.json.

    Args:
        root: the images' folder, see OpenRun.data.

    Returns:
        Flat, in nats per image or as a share: `test/elbo`, `test/reconstruction`, `test/kl`,
        `test/mutual_information`, `test/marginal_kl`, `test/knn_accuracy`, `test/logistic_regression_accuracy`, each
        with its `…_standard_error`; `test/active_units`; and what it was measured on.

    Raises:
        DataError, SettingsError: the images can't be had.
    """
    start = time.perf_counter()
    # The classifiers of all runs learn from the same images: all of the training set, whatever a run held out.
    data = run.data(root, val_size=0)
    images, labels = data.fixed("test")
    with tqdm(total=len(STAGES), leave=False, disable=None, bar_format="{desc:<24}{bar}| {n}/{total}") as bar:
        bar.set_description("ELBO")
        estimates, posterior = _information(run.vae, images)
        bar.update()
        bar.set_description("encoding")
        train_images, train_labels = data.fixed("train")
        train_means = encode_images(run.vae, train_images).mean.numpy()
        bar.update()
        for name, classify in CLASSIFIERS.items():
            bar.set_description(name.replace("_", " "))
            predicted = classify(train_means, train_labels.numpy(), posterior.mean.numpy())
            estimates[f"{name}_accuracy"] = Estimate.of(torch.from_numpy(predicted) == labels)
            bar.update()
    values: dict[str, float | str] = {}
    for name, estimate in estimates.items():
        values |= {f"test/{name}": estimate.mean, f"test/{name}_standard_error": estimate.standard_error}
    values |= {
        "test/active_units": metrics.active_units(posterior.mean),
        "latent_dim": run.vae.latent_dim,
        "dataset": run.cfg.data.name,
        "binarize": run.cfg.data.binarize.name,
        "test_images": len(images),
        "classifier_images": len(train_images),
        "checkpoint": run.checkpoint,
        "epochs": run.epochs,
        "complete": run.folder.complete,
        "seconds": round(time.perf_counter() - start, 3),
    }
    write_json(results_file(run), values)
    return values


def results_file(run: OpenRun) -> Path:
    """Where a run's evaluation is written."""
    return run.folder.path / f"evaluation{run.suffix}.json"


@torch.no_grad()
def image_terms(vae: VAE, images: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstruction and KL of each image, (n,) float64, with the draws that a run's own test uses.

    Args:
        images: uint8 (n, channels, height, width).
    """
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    parts = []
    for batch in images.split(EVALUATION_BATCH):
        noise = Noise(len(batch), generator=generator)
        parts.append([term.cpu().double() for term in vae.elbo_terms(to_unit(batch.to(vae.device)), noise)])
    reconstruction, kl = zip(*parts, strict=True)
    return torch.cat(reconstruction), torch.cat(kl)


def _information(vae: VAE, images: Tensor) -> tuple[dict[str, Estimate], DiagonalGaussian]:
    """The ELBO and its parts on test images, and their posteriors."""
    reconstruction, kl = image_terms(vae, images)
    posterior = encode_images(vae, images)
    noise = torch.randn(posterior.mean.shape, generator=torch.Generator().manual_seed(EVALUATION_SEED))
    information = metrics.mutual_information(posterior, posterior.rsample(noise))
    values = {
        "elbo": -(reconstruction + kl),
        "reconstruction": reconstruction,
        "kl": kl,
        "mutual_information": information,
        "marginal_kl": kl - information,
    }
    return {name: Estimate.of(value) for name, value in values.items()}, posterior
