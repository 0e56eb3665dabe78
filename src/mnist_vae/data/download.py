"""Downloads by torchvision, such that a kill, a dead network or a second process leaves nothing half-done."""

import contextlib
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import filelock
from torch import Tensor

from mnist_vae.data import idx

log = logging.getLogger(__name__)

# Of each network operation, not of a whole download; without it, urllib waits for ever.
TIMEOUT_SECONDS = 15.0


class DownloadError(Exception):
    """No mirror has a good copy of a file; the message names the file and what is wrong at each mirror."""


def published_md5(dataset: str, packed_name: str) -> str:
    """The MD5 that torchvision publishes for a .gz file of `dataset`."""
    return dict(_torchvision_class(dataset).resources)[packed_name]


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock under which files may be downloaded into `folder`, waiting for it if need be.

    Raises OSError where `folder` can't be written. The system frees the lock of a process that is killed.
    """
    lock = filelock.FileLock(folder / ".download.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        log.info("Waiting for another process that downloads into %s", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def download(dataset: str, names: list[str], folder: Path, mirror: str | None) -> dict[str, Tensor]:
    """Download the raw files `names` of `dataset`, check them, move them into `folder`; return their values.

    The caller holds the lock of `folder`. A file is moved there whole, and only once all of them are checked.
    Raises DownloadError where no mirror has a good copy of one, and OSError where `folder` can't be written.
    """
    # Whoever holds the lock is the only writer: other temporary folders are from downloads that were killed.
    for leftover in folder.glob(".download-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    log.info("Downloading %s into %s", dataset, folder)
    # Inside `folder`, as only a move within one filesystem is atomic.
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as temporary:
        with _socket_timeout(TIMEOUT_SECONDS):
            values = {name: _download_file(dataset, name, Path(temporary), mirror) for name in names}
        for name in names:
            os.replace(Path(temporary, name), folder / name)
    return values


def reason(error: BaseException | str) -> str:
    """Why a download or an operation on a file failed, in a few words."""
    if isinstance(error, HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, URLError):
        return reason(error.reason)
    if isinstance(error, RuntimeError) and "corrupted" in str(error):
        return "truncated or wrong checksum"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _download_file(dataset: str, name: str, folder: Path, mirror: str | None) -> Tensor:
    from torchvision.datasets.utils import download_and_extract_archive

    packed = f"{name}.gz"
    md5 = published_md5(dataset, packed)
    failures = []
    for base in _mirrors(dataset, mirror):
        try:
            download_and_extract_archive(f"{base}{packed}", str(folder), filename=packed, md5=md5)
            return idx.read(folder / name, dataset)
        # torchvision passes on whatever urllib, http.client and gzip raise, which is no closed list.
        except Exception as error:
            failures.append(f"{reason(error)} at {urlsplit(base).netloc}")
    raise DownloadError(f"{packed}: {', '.join(failures)}")


def _mirrors(dataset: str, mirror: str | None) -> list[str]:
    first = [] if mirror is None else [mirror.rstrip("/") + "/"]
    return first + list(_torchvision_class(dataset).mirrors)


def _torchvision_class(dataset: str) -> Any:
    # Imported here because it takes seconds, which only a download should cost.
    import torchvision.datasets

    return getattr(torchvision.datasets, dataset)


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    # torchvision's downloader has no parameter for it, only this default of the whole process.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
