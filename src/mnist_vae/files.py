"""Files that are either whole or not there."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


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


def png(pixels: "np.ndarray") -> bytes:
    """uint8 pixels (height, width, channels) as the contents of a PNG."""
    from PIL import Image

    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    content = io.BytesIO()
    image.save(content, format="png", compress_level=3)  # half the time of the default, and a quarter more bytes
    return content.getvalue()


def write_figure(path: Path, figure: "Figure") -> None:
    """Write a matplotlib Figure as PNG, atomically."""
    write_atomically(path, lambda file: figure.savefig(file, format="png"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def shown(path: Path) -> str:
    """A path as short as it can be printed."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
