"""Images and rendering shared by the tests of figures."""

import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image


def ramp(count: int, channels: int = 1, size: int = 28) -> np.ndarray:
    return np.linspace(0, 1, count)[:, None, None, None] * np.ones((count, channels, size, size))


def drawn(figure) -> np.ndarray:
    """Pixels of a figure saved as PNG, uint8 (height, width, 3)."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("RGB"))


def parts(figure: Figure, gid: str) -> list[Any]:
    return [line for axis in figure.axes for line in axis.lines if line.get_gid() == gid]
