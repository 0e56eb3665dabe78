"""All that is reported of a trained run, with standard errors: evaluation.json."""

import hashlib
import sys
import time
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mnist_vae import metrics
from mnist_vae.data import EVALUATION_BATCH, EVALUATION_SEED
from mnist_vae.encoding import encode_images, to_unit
from mnist_vae.files import shown, write_atomically, write_json
from mnist_vae.importance import Weights, each_image
from mnist_vae.loading import OpenRun
from mnist_vae.metrics import Estimate
from mnist_vae.noise import Noise
from mnist_vae.posteriors import Posterior
from mnist_vae.representation import CLASSIFIERS
from mnist_vae.vae import VAE

STAGES = ("ELBO", "encoding", *CLASSIFIERS)
SAVE_SECONDS = 20  # between two saves of a likelihood's estimate


def evaluate(run: OpenRun, root: str | None = None, nll_samples: int = 0) -> dict[str, float | str]:
    """Evaluate a run on its test images, and write evaluation.json into its folder.

    For the checkpoint `last` it is evaluation_last.json.

    Args:
        root: the images' folder, see OpenRun.data.
        nll_samples: importance samples per image for -log p(x); 0 for none. Stopped by Ctrl-C, what is done of it is
            kept in the folder, and the next call with this number goes on from there.

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
        estimates, posterior = _information(run.vae, images, labels)
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


def likelihood_values(weights: Weights) -> dict[str, float]:
    """`test/nll`, the mean of -log p(x), with its standard error over images, and what tells if the samples suffice:

    - `test/nll_effective_samples`: the median image's, of `nll_samples`. With few, the NLL is still too high;
    - `test/nll_monte_carlo_error`: how far the mean would scatter over other draws. One sample can't tell.
    """
    nll, k = Estimate.of(-weights.log_likelihood), weights.k
    values = {
        "test/nll": nll.mean,
        "test/nll_standard_error": nll.standard_error,
        "test/nll_effective_samples": weights.effective_samples.median().item(),
        "nll_samples": k,
    }
    errors = weights.monte_carlo_error  # independent from image to image
    return values | ({"test/nll_monte_carlo_error": errors.norm().item() / len(errors)} if k > 1 else {})


def resumable_weights(run: OpenRun, images: Tensor, labels: Tensor, samples: int) -> Weights:
    """Importance weights of all images, continued from what an interrupted call left in the run's folder.

    Args:
        images: uint8 (n, channels, height, width).
        labels: (n,).
    """
    file = run.folder.path / f"nll_{samples}{run.suffix}.partial.npz"
    made_of = _digest(run.vae, images, labels, samples)
    done = _read_partial(file, made_of)
    todo = each_image(run.vae, to_unit(images), labels, samples, EVALUATION_SEED, start=len(done))
    bar = tqdm(todo, "NLL", len(images), initial=len(done), unit="image", leave=False, disable=None)
    saved = time.monotonic()
    try:
        for sums in bar:
            done.append(sums)
            if time.monotonic() - saved > SAVE_SECONDS:
                _write_partial(file, made_of, done)
                saved = time.monotonic()
    except KeyboardInterrupt:
        bar.close()
        if done:
            _write_partial(file, made_of, done)
            _tell_progress(Weights.of(samples, done), len(images), file)
        raise
    finally:
        todo.close()
    file.unlink(missing_ok=True)
    return Weights.of(samples, done)


@torch.no_grad()
def image_terms(vae: VAE, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstruction and KL of each image, (n,) float64, with the draws that a run's own test uses.

    Args:
        images: uint8 (n, channels, height, width).
        labels: (n,), for a conditional VAE.
    """
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    parts = []
    for batch, given in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        noise = Noise(len(batch), generator=generator)
        terms = vae.given(given).elbo_terms(to_unit(batch.to(vae.device)), noise)
        parts.append([term.cpu().double() for term in terms])
    reconstruction, kl = zip(*parts, strict=True)
    return torch.cat(reconstruction), torch.cat(kl)


def _information(vae: VAE, images: Tensor, labels: Tensor) -> tuple[dict[str, Estimate], Posterior]:
    """The ELBO and its parts on test images, and their posteriors."""
    reconstruction, kl = image_terms(vae, images, labels)
    posterior = encode_images(vae, images, labels)
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


def _digest(vae: VAE, images: Tensor, labels: Tensor, samples: int) -> str:
    """What an estimate is made of, in 64 letters: no other weights, images or draws have the same."""
    made_of = hashlib.sha256(f"{samples} {EVALUATION_SEED}".encode())
    for values in (*vae.state_dict().values(), images, labels):
        made_of.update(values.cpu().contiguous().numpy().tobytes())
    return made_of.hexdigest()


def _read_partial(file: Path, made_of: str) -> list[Tensor]:
    """The images' sums that an interrupted call left, if it was about the same."""
    try:
        with np.load(file) as stored:
            return list(torch.from_numpy(stored["sums"])) if str(stored["made_of"]) == made_of else []
    except (OSError, ValueError, KeyError, BadZipFile):  # there is none, or it is damaged
        return []


def _write_partial(file: Path, made_of: str, done: list[Tensor]) -> None:
    write_atomically(file, lambda opened: np.savez(opened, made_of=made_of, sums=torch.stack(done).numpy()))


def _tell_progress(weights: Weights, total: int, file: Path) -> None:
    count, nll = len(weights.log_sum), -weights.log_likelihood.mean().item()
    print(
        f"\nstopped: the NLL of the first {count:,} of {total:,} images is {nll:.3f} nats, kept in {shown(file)}; the "
        "same command goes on from there",
        file=sys.stderr,
    )
