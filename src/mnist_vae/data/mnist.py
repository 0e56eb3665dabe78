"""MNIST and its drop-in replacements: read from files that are checked, and downloaded if missing."""

import errno
import gzip
import hashlib
import logging
import math
import os
import re
import shutil
import struct
import tempfile
import zlib
from pathlib import Path

import filelock
import torch
from torch import Tensor

from mnist_vae.data.download import download
from mnist_vae.data.images import DIGITS, ImageArrays
from mnist_vae.utils.errors import DataError, first_line

log = logging.getLogger(__name__)

FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
DATASETS = {"MNIST": DIGITS, "FashionMNIST": FASHION, "KMNIST": KUZUSHIJI}  # and what their labels mean
# The shape of each file, the same for all datasets, and its MD5 in MNIST: torchvision has that of the .gz files only.
FILES: dict[str, tuple[tuple[int, ...], str]] = {
    "train-images-idx3-ubyte": ((60_000, 28, 28), "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": ((60_000,), "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": ((10_000, 28, 28), "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": ((10_000,), "27ae3e4e09519cfbb04c329615203637"),
}
LARGEST_GZIP_OVERHEAD = 10_000  # bytes of a .gz beyond those of what cannot be compressed
LONGEST_REASON = 200  # characters of a message, which a server may have written


class TorchvisionSource:
    """The torchvision dataset of that name, read from `root/<dataset>/raw` and downloaded when not there.

    `dataset` is one of `DATASETS`, each of 60,000 training and 10,000 test images. `mirror` is the address of
    a folder that has the four .gz files, asked before torchvision's own mirrors.

    Each file is checked each time: its length, its shape and, for MNIST, its MD5. With the four files there,
    raw or as .gz, nothing is written and no network is used.
    """

    def __init__(self, dataset: str, root: str, mirror: str | None = None):
        """Raise DataError where the dataset is unknown or the mirror isn't an http address of printable ASCII."""
        if dataset not in DATASETS:
            raise DataError(f"There is no dataset {dataset!r}: choose one of {', '.join(DATASETS)}.")
        if mirror is not None and not re.fullmatch("https?://[!-~]+", mirror, re.IGNORECASE):
            raise DataError(
                f"The mirror {mirror!a} must be an address that begins with http:// or https://, without spaces."
            )
        self.dataset = dataset
        self.raw_folder = Path(os.path.abspath(os.path.expanduser(root)), dataset, "raw")
        self.mirrors = [] if mirror is None else [mirror.rstrip("/") + "/"]

    def load(self) -> ImageArrays:
        """Return both splits, downloading the files that are missing.

        Raises DataError where a file is damaged, or is missing and can't be downloaded.
        """
        files = self._read_present()
        if len(files) < len(FILES):
            try:
                self._download_missing()
            except OSError as error:
                full = "free some space, " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
                raise DataError(
                    f"{self.dataset} lacks {', '.join(self._missing())} in {self.raw_folder}, and can't be downloaded "
                    f"there ({first_line(error)}): {full}put the four files there, point data.root (or the environment "
                    f"variable MNIST_VAE_DATA) to a folder that has them in its {self.dataset}/raw, or use "
                    "data=digits, which is embedded."
                ) from error
            files = self._read_present()
        train_images, train_labels, test_images, test_labels = files
        return ImageArrays(
            train_images[:, None], train_labels.long(), test_images[:, None], test_labels.long(), DATASETS[self.dataset]
        )

    def _present(self) -> dict[str, Path]:
        paths = [self.raw_folder / (name + suffix) for name in FILES for suffix in (".gz", "")]
        # Unlike Path.exists, os.path.exists is False in a folder that may not be entered.
        return {path.stem: path for path in paths if os.path.exists(path)}

    def _missing(self) -> list[str]:
        return [name for name in FILES if name not in self._present()]

    def _read_present(self) -> list[Tensor]:
        files = []
        for path in self._present().values():
            try:
                files.append(read_idx(path, self.dataset))
            except (OSError, ValueError, EOFError, zlib.error) as error:
                raise DataError(
                    f"{path} is damaged or can't be read ({first_line(error)}): delete it to download it again, or "
                    "replace it by a good copy."
                ) from error
        return files

    def _download_missing(self) -> None:
        """Move the missing files into the raw folder, each of them whole, once all of them are checked."""
        self.raw_folder.mkdir(parents=True, exist_ok=True)
        log.info("Downloading %s into %s, or waiting for another process that does", self.dataset, self.raw_folder)
        with filelock.FileLock(self.raw_folder / ".download.lock"):  # the system frees that of a killed process
            # Only the lock's holder writes here: these are from downloads that were killed.
            for leftover in self.raw_folder.glob(".download-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            # Inside the folder, as only a move within one filesystem is atomic.
            with tempfile.TemporaryDirectory(prefix=".download-", dir=self.raw_folder) as temporary:
                # Asked again under the lock: another process may have downloaded them in the meantime.
                checked = [self._download(name, Path(temporary)) for name in self._missing()]
                for path in checked:
                    os.replace(path, self.raw_folder / path.name)

    def _download(self, name: str, folder: Path) -> Path:
        path = folder / name
        path.write_bytes(self._fetch(name))
        return path

    def _fetch(self, name: str) -> bytes:
        # Imported here because it takes seconds, which only a download should cost.
        import torchvision.datasets

        theirs = getattr(torchvision.datasets, self.dataset)
        packed = f"{name}.gz"
        failures = []
        for base in self.mirrors + theirs.mirrors:
            try:
                content = download(base + packed, largest=_size(name) + LARGEST_GZIP_OVERHEAD)
                if md5(content) != dict(theirs.resources)[packed]:
                    raise ValueError("its MD5 is not the one expected")
                content = gzip.decompress(content)  # of known content, so to a known size
                parse_idx(content, name, self.dataset)
                return content
            except Exception as error:  # urllib and http.client raise what is no closed list
                reason = first_line(error).removeprefix("<urlopen error ").rstrip(".>")
                failures.append(f"{base.split('/')[2]}: {reason[:LONGEST_REASON]}")
        raise OSError(f"{packed} from {'; from '.join(failures)}")


def read_idx(path: Path, dataset: str) -> Tensor:
    """Read an IDX file of `dataset`, raw or .gz, as uint8 in the shape that `FILES` gives for its name.

    Raises ValueError where the content is wrong, or the path is no regular file (a pipe would block); OSError, EOFError
    or zlib.error where it can't be read or unpacked.
    """
    if not path.is_file():
        raise ValueError("it is not a regular file")
    with gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read(_size(path.stem) + 1)  # no more: a .gz can unpack to any size
    return parse_idx(content, path.stem, dataset)


def parse_idx(content: bytes, name: str, dataset: str) -> Tensor:
    """Parse the content of the IDX file of that name, as `read_idx` does.

    The format (http://yann.lecun.com/exdb/mnist): two zero bytes, the type of the values (8: unsigned byte), the
    number of dimensions, each dimension as a big-endian 32-bit integer, then the values. torchvision's reader takes
    seconds to import, and does not say what is wrong with a file.

    Raises ValueError where the content is wrong.
    """
    shape, mnist_md5 = FILES[name]
    header, size = _header(shape), _size(name)
    if len(content) > size:
        raise ValueError(f"it has more than the {size:,} bytes that are expected")
    if len(content) < size:
        raise ValueError(f"it has {len(content):,} bytes where {size:,} are expected")
    if not content.startswith(header):
        raise ValueError(f"it begins with {content[: len(header)].hex()} where {header.hex()} is expected")
    if dataset == "MNIST" and md5(content) != mnist_md5:
        raise ValueError(f"its MD5 is {md5(content)} where {mnist_md5} is expected")
    values = torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=len(header)).view(shape)
    if len(shape) == 1 and values.max() > 9:
        raise ValueError(f"it has the label {values.max()} where labels are 0 to 9")
    return values


def md5(content: bytes) -> str:
    """The MD5 checksum in hexadecimal."""
    # Not for security: without the flag, hashlib refuses MD5 on machines in FIPS mode.
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _header(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)


def _size(name: str) -> int:
    shape, _ = FILES[name]
    return len(_header(shape)) + math.prod(shape)
