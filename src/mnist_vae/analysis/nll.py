"""A run's negative log-likelihood, which takes minutes: kept as it grows, so that nothing of it is lost."""

import hashlib
import sys
import time
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mnist_vae.analysis.importance_sampling import Weights, each_image
from mnist_vae.analysis.metrics import Estimate
from mnist_vae.data.datamodule import EVALUATION_SEED
from mnist_vae.data.images import to_unit
from mnist_vae.models.vae import VAE
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.io import shown, write_atomically

SAVE_SECONDS = 20


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
    """Importance weights of all images, kept in nll_<samples>.npz of the run's folder, image by image.

    After Ctrl-C the next call goes on from there; one for the same weights and images has them at once.

    Args:
        images: uint8 (n, channels, height, width).
        labels: (n,).
    """
    file = run.folder.path / f"nll_{samples}{run.suffix}.npz"
    made_of = _digest(run.vae, images, labels, samples)
    done = _read(file, made_of)
    todo = each_image(run.vae, to_unit(images), labels, samples, EVALUATION_SEED, start=len(done))
    bar = tqdm(todo, "NLL", len(images), initial=len(done), unit="image", leave=False, disable=None)
    saved = time.monotonic()
    try:
        for sums in bar:
            done.append(sums)
            if time.monotonic() - saved > SAVE_SECONDS:
                _write(file, made_of, done)
                saved = time.monotonic()
    except KeyboardInterrupt:
        bar.close()
        if done:
            _write(file, made_of, done)
            _tell_progress(Weights.of(samples, done), len(images), file)
        raise
    finally:
        todo.close()
    _write(file, made_of, done)
    return Weights.of(samples, done)


def finished_weights(run: OpenRun, images: Tensor, labels: Tensor) -> Weights | None:
    """What an earlier call for the same weights and images finished, with the most samples; None if there is none."""
    found = []
    for file in run.folder.path.glob(f"nll_*{run.suffix}.npz"):
        samples = file.stem.removeprefix("nll_").removesuffix(run.suffix)
        if samples.isdecimal():
            done = _read(file, _digest(run.vae, images, labels, int(samples)))
            if len(done) == len(images):
                found.append(Weights.of(int(samples), done))
    return max(found, key=lambda weights: weights.k, default=None)


def _digest(vae: VAE, images: Tensor, labels: Tensor, samples: int) -> str:
    """What an estimate is made of, in 64 letters: no other weights, images or draws have the same."""
    made_of = hashlib.sha256(f"{samples} {EVALUATION_SEED}".encode())
    for values in (*vae.state_dict().values(), images, labels):
        made_of.update(values.cpu().contiguous().numpy().tobytes())
    return made_of.hexdigest()


def _read(file: Path, made_of: str) -> list[Tensor]:
    """The images' sums that an earlier call left, if it was about the same."""
    try:
        with np.load(file) as stored:
            return list(torch.from_numpy(stored["sums"])) if str(stored["made_of"]) == made_of else []
    except (OSError, ValueError, KeyError, BadZipFile):  # there is none, or it is damaged
        return []


def _write(file: Path, made_of: str, done: list[Tensor]) -> None:
    write_atomically(file, lambda opened: np.savez(opened, made_of=made_of, sums=torch.stack(done).numpy()))


def _tell_progress(weights: Weights, total: int, file: Path) -> None:
    count, nll = len(weights.log_sum), -weights.log_likelihood.mean().item()
    print(
        f"\nstopped: the NLL of the first {count:,} of {total:,} images is {nll:.3f} nats, kept in {shown(file)}; the "
        "same command goes on from there",
        file=sys.stderr,
    )
