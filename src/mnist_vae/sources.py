"""Where the images come from: MNIST and its replacements through torchvision, or scikit-learn's digits."""

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mnist_vae import download, idx
from mnist_vae.errors import DataError

DIGITS = tuple("0123456789")
FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
DATASETS = {"MNIST": DIGITS, "FashionMNIST": FASHION, "KMNIST": KUZUSHIJI}  # and what their labels mean

DIGITS_TEST_SIZE = 297

# How the 8x8 digits are drawn: pixels of 28x28 per pixel of 8x8, and the levels that become black and white.
# Tuned until the height, mean, standard deviation and shares of black, grey and white were those of MNIST.
DIGITS_SCALE = 2.4
DIGITS_BLACK = 0.3
DIGITS_WHITE = 0.8


class ImageArrays(NamedTuple):
    """A training and a test split: images are uint8 (N, 1, 28, 28), labels int64 (N,) from 0 to 9; `classes`
    has their names."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...] = DIGITS


class TorchvisionSource:
    """The torchvision dataset of that name, read from `root/<dataset>/raw` and downloaded when not there.

    `dataset` is one of `DATASETS`, each of 60,000 training and 10,000 test images. `mirror` is the address of
    a folder that has the four .gz files, asked before torchvision's own mirrors.

    Each file is checked each time: its length, its shape and, for MNIST, its MD5. With the four files there,
    raw or as .gz, nothing is written and no network is used.
    """

    def __init__(self, dataset: str, root: str, mirror: str | None = None):
        """Raise DataError where the dataset is unknown or the mirror isn't an http address."""
        if dataset not in DATASETS:
            raise DataError(f"There is no dataset {dataset!r}: choose one of {', '.join(DATASETS)}.")
        if mirror is not None and urlsplit(mirror).scheme not in ("http", "https"):
            raise DataError(f"The mirror {mirror!r} must be an address that begins with http:// or https://.")
        self.dataset = dataset
        self.raw_folder = Path(os.path.abspath(os.path.expanduser(root)), dataset, "raw")
        self.mirror = mirror

    def load(self) -> ImageArrays:
        """Return both splits, downloading the files that are missing.

        Raises DataError where a file is damaged, or is missing and can't be downloaded.
        """
        values = self._read_present()
        if _missing(values):
            values = self._download_missing()
        return ImageArrays(
            values[idx.TRAIN_IMAGES].unsqueeze(1),
            values[idx.TRAIN_LABELS].long(),
            values[idx.TEST_IMAGES].unsqueeze(1),
            values[idx.TEST_LABELS].long(),
            DATASETS[self.dataset],
        )

    def _read_present(self) -> dict[str, Tensor]:
        paths = {name: self._path(name) for name in idx.SHAPES}
        return {name: self._read(path) for name, path in paths.items() if path is not None}

    def _path(self, name: str) -> Path | None:
        candidates = (self.raw_folder / name, self.raw_folder / f"{name}.gz")
        return next((path for path in candidates if os.path.exists(path)), None)

    def _read(self, path: Path) -> Tensor:
        try:
            if path.suffix == ".gz":
                return idx.read_gz(path, self.dataset, download.published_md5(self.dataset, path.name))
            return idx.read(path, self.dataset)
        except idx.DamagedFileError as error:
            raise DataError(
                f"{path} is damaged, {error}: delete it to download it again, or replace it by a good copy."
            ) from error
        except OSError as error:
            raise DataError(f"{path} can't be read ({download.reason(error)}).") from error

    def _download_missing(self) -> dict[str, Tensor]:
        try:
            self.raw_folder.mkdir(parents=True, exist_ok=True)
            with download.exclusive(self.raw_folder):
                # Another process may have downloaded them while this one waited for the lock.
                values = self._read_present()
                if names := _missing(values):
                    values |= download.download(self.dataset, names, self.raw_folder, self.mirror)
            return values
        except download.DownloadError as error:
            raise self._unavailable(f"could not be downloaded ({error})") from error
        except OSError as error:
            raise self._unavailable(f"can't be downloaded there ({download.reason(error)})") from error

    def _unavailable(self, why: str) -> DataError:
        names = [name for name in idx.SHAPES if self._path(name) is None]
        return DataError(
            f"{self.dataset} lacks {', '.join(names)} in {self.raw_folder}, and {why}: "
            f"put the four files there, point data.root (or the environment variable MNIST_VAE_DATA) to a "
            f"folder that has them in its {self.dataset}/raw, or use data=digits, which is embedded."
        )


class DigitsSource:
    """scikit-learn's 1,797 digits of 8x8 pixels in MNIST's framing, 1,500 to train and 297 to test.

    They come with scikit-learn, so no network is needed: the test set of E. Alpaydin and C. Kaynak, "Optical
    Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """

    def load(self) -> ImageArrays:
        """Return both splits, stratified by label and the same for everyone."""
        from sklearn.datasets import load_digits  # takes a second, which the other source should not cost

        digits = load_digits()
        images = _in_mnist_framing(torch.from_numpy(digits.images).float() / 16)
        labels = torch.from_numpy(digits.target).long()
        train, test = _stratified_split(digits.target, DIGITS_TEST_SIZE)
        return ImageArrays(images[train], labels[train], images[test], labels[test])


def _missing(values: dict[str, Tensor]) -> list[str]:
    return [name for name in idx.SHAPES if name not in values]


def _in_mnist_framing(images: Tensor) -> Tensor:
    """Draw (N, 8, 8) in 0..1 as uint8 (N, 1, 28, 28), 20 pixels high, centre of mass at pixel (14, 14)."""
    count, size, _ = images.shape
    zoom = 28 / (size * DIGITS_SCALE)
    pixel_14 = (14 * 2 + 1) / 28 - 1
    shift = _centre_of_mass(_stretch_contrast(images)) - zoom * pixel_14
    transform = torch.cat([torch.eye(2).mul(zoom).expand(count, 2, 2), shift[:, :, None]], dim=2)
    grid = functional.affine_grid(transform, [count, 1, 28, 28], align_corners=False)
    drawn = functional.grid_sample(images[:, None], grid, mode="bicubic", align_corners=False)
    # Interpolation blurs the edges of a stroke, which are a pixel wide in MNIST.
    return (_stretch_contrast(drawn) * 255).round().to(torch.uint8)


def _centre_of_mass(images: Tensor) -> Tensor:
    """Return (N, 2), x before y, in grid_sample's coordinates: -1 and 1 are the outer edges of the image."""
    size = images.shape[-1]
    coordinates = (torch.arange(size) * 2 + 1) / size - 1
    moments = torch.stack([images.sum(1) @ coordinates, images.sum(2) @ coordinates], dim=1)
    return moments / images.sum((1, 2))[:, None]


def _stretch_contrast(images: Tensor) -> Tensor:
    return ((images - DIGITS_BLACK) / (DIGITS_WHITE - DIGITS_BLACK)).clamp(0, 1)


def _stratified_split(labels: np.ndarray, test_size: int) -> tuple[Tensor, Tensor]:
    """Return the indices to train and to test on, shuffled by a fixed seed, labels in proportion in both."""
    # NumPy promises never to change RandomState's stream; scikit-learn promises nothing of its split.
    shuffled = np.random.RandomState(0).permutation(len(labels))
    by_label = np.argsort(labels[shuffled], kind="stable")
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[by_label[np.arange(test_size) * len(labels) // test_size]] = True
    return torch.from_numpy(shuffled[~is_test]), torch.from_numpy(shuffled[is_test])
