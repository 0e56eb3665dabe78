"""Importance-sampled negative log-likelihood of a run, saved to disk at intervals so that it can be resumed."""

import math
import re
import sys
import time
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mnist_vae.analysis.digest import digest
from mnist_vae.analysis.importance_sampling import SUMS, ImportanceWeights, iter_log_sums
from mnist_vae.analysis.metrics import Estimate
from mnist_vae.data.batches import EVALUATION_SEED
from mnist_vae.models.vae import VAE
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.io import shown, write_atomically
from mnist_vae.utils.pixels import to_unit

SAVE_SECONDS = 20


def likelihood_values(weights: ImportanceWeights) -> dict[str, float]:
    """Summarise importance weights as metrics, in nats per image.

    Returns:
        - `test/nll`: the mean of -L_k over images, and `test/nll_standard_error`;
        - `test/nll_half`: the mean of -L_{k/2}, by the same samples in two halves. It is above `test/nll` by about the
          bias that remains in that, see ImportanceWeights; absent for a single sample per image;
        - `nll_samples`: k, samples per image;
        - `test/nll_effective_samples`: median over images. If it is low, the NLL is overestimated;
        - `test/nll_monte_carlo_error`: standard deviation of the mean over repetitions with other samples, which does
          not include the bias; absent for a single sample per image, from which it cannot be estimated.
    """
    nll, k = Estimate.of(-weights.log_likelihood), weights.k
    values = {
        "test/nll": nll.mean,
        "test/nll_standard_error": nll.standard_error,
        "test/nll_effective_samples": weights.effective_samples.median().item(),
        "nll_samples": k,
    }
    if k == 1:
        return values
    errors = weights.monte_carlo_error  # independent between images, so variances add up
    return values | {
        "test/nll_half": -weights.log_likelihood_of_halves.mean().item(),
        "test/nll_monte_carlo_error": errors.norm().item() / len(errors),
    }


def resumable_weights(run: OpenRun, images: Tensor, labels: Tensor, samples: int) -> ImportanceWeights:
    """Compute the importance weights of all images, saving the finished ones to <run>/nll_<samples>.npz.

    They are saved every SAVE_SECONDS and on Ctrl-C. A later call for the same model, images and number of samples
    resumes after the last image saved, and returns at once if all are finished.

    Args:
        images: uint8 (n, channels, height, width).
        labels: (n,).
        samples: importance samples per image.
    """
    file = run.folder.path / f"nll_{samples}{run.suffix}.npz"
    made_of = _digest(run.vae, images, labels, samples)
    done = _read(file, made_of, len(images))
    remaining = iter_log_sums(run.vae, to_unit(images), labels, samples, EVALUATION_SEED, start=len(done))
    bar = tqdm(remaining, "NLL", len(images), initial=len(done), unit="image", leave=False, disable=None)
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
            _print_progress(ImportanceWeights.of(samples, done), len(images), file)
        raise
    finally:
        remaining.close()
    _write(file, made_of, done)
    return ImportanceWeights.of(samples, done)


def finished_weights(run: OpenRun, images: Tensor, labels: Tensor) -> ImportanceWeights | None:
    """Load the finished estimate with the most samples for this model and these images; None if there is none."""
    found = []
    for file in run.folder.path.glob("nll_*.npz"):
        if name := re.fullmatch(f"nll_([1-9][0-9]{{0,17}}){run.suffix}", file.stem):
            samples = int(name[1])
            done = _read(file, _digest(run.vae, images, labels, samples), len(images))
            if len(done) == len(images):
                found.append(ImportanceWeights.of(samples, done))
    return max(found, key=lambda weights: weights.k, default=None)


def _digest(vae: VAE, images: Tensor, labels: Tensor, samples: int) -> str:
    """SHA-256 of everything that an estimate depends on: model weights, images, labels, number of samples and seed."""
    return digest(f"{samples} {EVALUATION_SEED}", (*vae.state_dict().values(), images, labels))


def _read(file: Path, made_of: str, count: int) -> list[Tensor]:
    """Load the log-sums of the images that an earlier call with the same digest finished; else an empty list.

    A damaged file, or one of an earlier version, whose sums were others, counts as absent.

    Args:
        count: the images in all.
    """
    try:
        if not file.is_file():  # a pipe would block
            return []
        with ZipFile(file) as stored:
            if _array(stored, "made_of", f"<U{len(made_of)}", ()).item() != made_of:
                return []
            return list(torch.from_numpy(_array(stored, "sums", "<f8", (count, SUMS))))
    except Exception:  # a damaged file can raise anything
        return []


def _array(stored: ZipFile, name: str, dtype: str, largest: tuple[int, ...]) -> np.ndarray:
    """Read an array of an .npz file of that dtype and shape, or with fewer rows.

    np.load would allocate what the header asks for, and unpack what is compressed, which np.savez does not do.

    Raises:
        ValueError: it is another array. A damaged file can raise anything.
    """
    entry = stored.getinfo(f"{name}.npy")
    if entry.compress_type != ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    with stored.open(entry) as member:
        np.lib.format.read_magic(member)
        shape, _, found = np.lib.format.read_array_header_1_0(member)
        fits = len(shape) == len(largest) and shape[1:] == largest[1:] and (0,) * len(shape) <= shape <= largest
        if found != np.dtype(dtype) or not fits:
            raise ValueError(f"{name} is {found} {shape} where {dtype} {largest} is expected")
        size = math.prod(shape) * found.itemsize
        values = member.read(size + 1)  # + 1: to the end, where its checksum is compared
    return np.frombuffer(bytearray(values), found).reshape(shape)


def _write(file: Path, made_of: str, done: list[Tensor]) -> None:
    write_atomically(file, lambda opened: np.savez(opened, made_of=made_of, sums=torch.stack(done).numpy()))


def _print_progress(weights: ImportanceWeights, total: int, file: Path) -> None:
    count, nll = len(weights.log_sum), -weights.log_likelihood.mean().item()
    print(
        f"\nstopped: the NLL of the first {count:,} of {total:,} images is {nll:.3f} nats, saved in {shown(file)}; run "
        "the same command again to resume",
        file=sys.stderr,
    )
