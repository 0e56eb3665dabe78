"""Atomic file output, lock files, and paths for messages."""

import errno
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from mnist_vae.utils.errors import RunFolderError

TEMPORARY = ".tmp"  # how the names of temporary files end
LARGEST_TEXT = 100_000_000  # bytes


def write_atomically(path: Path, content: bytes | Callable[[IO[bytes]], Any]) -> None:
    """Write a file atomically: if the process is killed, `path` has either the old content or the new.

    Missing parent folders are created. A kill leaves the temporary file beside it; see `remove_temporary_files`.

    Args:
        path: the file.
        content: the bytes, or a function that writes them to an open binary file.

    Raises:
        OSError: the file can't be written; `filename` is `path`.
    """
    # The name can't be guessed, and mode x follows no link: nobody can direct the output to another file.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:  # of a full disk it has no file name, else that of the temporary file
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_temporary_files(folder: Path, below: bool = True) -> None:
    """Remove the temporary files that killed calls of `write_atomically` left in a folder.

    To be called by the process that holds the folder's lock: to others, a file that is being written looks the same.

    Args:
        below: also in the folders below it.
    """
    for place, folders, names in os.walk(folder):  # which does not follow links
        for name in names:
            if name.startswith(".") and name.endswith(TEMPORARY):
                Path(place, name).unlink(missing_ok=True)
        if not below:
            folders.clear()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def read_text(path: Path) -> str:
    """Read a text file of a folder that may come from anyone.

    Raises:
        OSError: it can't be read, is not a regular file (a pipe would block), or is larger than LARGEST_TEXT.
        UnicodeDecodeError: it is not UTF-8.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST_TEXT:
        raise OSError(errno.EINVAL, f"it is not a regular file of at most {LARGEST_TEXT:,} bytes", str(path))
    return path.read_text(encoding="utf-8")


def shown(path: Path) -> str:
    """Format a path for messages: relative to the working directory if it is inside it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


@contextmanager
def locked(file: Path, what: Path, wait: bool = False) -> Iterator[None]:
    """Context manager that holds an exclusive lock on `file`.

    Args:
        file: the lock file, created if it does not exist.
        what: path that the error message names.
        wait: wait for another process to release the lock.

    Raises:
        RunFolderError: another process holds the lock, and `wait` is False.
    """
    from filelock import FileLock, Timeout

    # The file is not deleted afterwards: another process may have opened it already, which would be a race condition.
    lock = FileLock(file, timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunFolderError(f"{what} is in use by another process; wait for it, or choose another folder.") from error
    try:
        yield
    finally:
        lock.release()
