"""Where the images come from: MNIST and its replacements through torchvision, or scikit-learn's digits."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from torch import Tensor

from mnist_vae.data import download, idx
from mnist_vae.data.images import DIGITS, ImageArrays
from mnist_vae.utils.errors import DataError

FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
DATASETS = {"MNIST": DIGITS, "FashionMNIST": FASHION, "KMNIST": KUZUSHIJI}  # and what their labels mean


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


def _missing(values: dict[str, Tensor]) -> list[str]:
    return [name for name in idx.SHAPES if name not in values]
