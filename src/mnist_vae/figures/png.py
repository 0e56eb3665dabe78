"""Pictures as PNG files."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_vae.utils.io import write_atomically

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


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
