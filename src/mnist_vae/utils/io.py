"""Files that are either whole or not there."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mnist_vae.utils.errors import RunFolderError

if TYPE_CHECKING:
    pass


def write_atomically(path: Path, content: bytes | Callable[[IO[bytes]], Any]) -> None:
    """Write a file beside `path`, then put it in its place in one step; a kill leaves the old file or the new.

    Args:
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
    """A path as short as it can be printed."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


@contextmanager
def locked(file: Path, what: Path, wait: bool = False) -> Iterator[None]:
    """Hold a lock file for this process.

    Raises:
        RunFolderError: another process holds it, and this one is not to wait; the message names `what`.
    """
    from filelock import FileLock, Timeout

    # Left behind: deleting a lock file that another process may just have opened is a race.
    lock = FileLock(file, timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunFolderError(f"{what} is in use by another process; wait for it, or choose another folder.") from error
    try:
        yield
    finally:
        lock.release()
