"""Atomic file output, lock files, and paths for messages."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mnist_vae.utils.errors import RunFolderError


def write_atomically(path: Path, content: bytes | Callable[[IO[bytes]], Any]) -> None:
    """Write a file atomically: if the process is killed, `path` has either the old content or the new.

    Missing parent folders are created.

    Args:
        path: the file.
        content: the bytes, or a function that writes them to an open binary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


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
