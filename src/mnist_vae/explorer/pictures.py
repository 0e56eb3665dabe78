"""Images as Bokeh shows them."""

import base64
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from bokeh.events import DoubleTap, Tap
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from torch import Tensor

from mnist_vae.figures.mosaics import image_grid
from mnist_vae.figures.png import png


def packed(pixels: np.ndarray) -> np.ndarray:
    """uint8 pixels (height, width, channels), of one or three channels, as Bokeh's RGBA: (height, width) uint32.

    The first row is the lowest.
    """
    height, width, _ = pixels.shape
    rgba = np.full((height, width, 4), 255, dtype=np.uint8)
    rgba[:, :, :3] = pixels
    return rgba[::-1].copy().view(np.uint32).reshape(height, width)


def to_bytes(image: Tensor) -> np.ndarray:
    """An image (channels, height, width) in [0, 1] as uint8 pixels (height, width, channels)."""
    return image.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()


def data_uri(pixels: np.ndarray) -> str:
    """uint8 pixels (height, width, channels) as the address of a PNG that holds them."""
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"


class Picture:
    """An image on the page.

    Args:
        name: of its data source, by which the browser's side finds it.
        pixels: uint8 (height, width, channels), shown first.
        width: on the page, in CSS pixels.
    """

    def __init__(self, name: str, pixels: np.ndarray, width: int) -> None:
        self.source = ColumnDataSource({"image": [packed(pixels)]}, name=name)
        height = round(width * pixels.shape[0] / pixels.shape[1])
        bare: dict[str, Any] = {"toolbar_location": None, "min_border": 0, "outline_line_color": None, "tools": ""}
        self.plot = figure(width=width, height=height, x_range=(0, 1), y_range=(0, 1), name=f"{name} picture", **bare)
        self.plot.axis.visible = False
        self.plot.grid.visible = False
        self.plot.image_rgba("image", 0, 0, 1, 1, source=self.source)

    def show(self, pixels: np.ndarray) -> None:
        """Show other pixels, uint8 (height, width, channels)."""
        self.source.data = {"image": [packed(pixels)]}


class Gallery:
    """Several images in one picture, each of which can be clicked.

    Args:
        name, width: as a Picture's.
        images: (n, channels, height, width) in [0, 1].
        columns: images per row.
    """

    def __init__(self, name: str, images: Tensor, columns: int, width: int) -> None:
        self.columns, self.count = columns, len(images)
        self.picture = Picture(name, self._grid(images), width)

    def show(self, images: Tensor) -> None:
        """Show other images, as many."""
        self.picture.show(self._grid(images))

    def on_click(self, callback: Callable[[int], None]) -> None:
        """Call a function with the index of an image that was clicked."""

        def clicked(event: Tap) -> None:
            index = self.index_at(event.x, event.y)
            if index is not None:
                callback(index)

        for event in (Tap, DoubleTap):
            self.picture.plot.on_event(event, clicked)

    def index_at(self, x: float, y: float) -> int | None:
        """Index of the image at a point, from (0, 0) at the lower left to (1, 1); None if there is none."""
        rows = math.ceil(self.count / self.columns)
        column, row = math.floor(x * self.columns), math.floor((1 - y) * rows)
        index = row * self.columns + column
        return index if 0 <= column < self.columns and row >= 0 and index < self.count else None

    def _grid(self, images: Tensor) -> np.ndarray:
        return image_grid(images.numpy(), self.columns, zoom=2, gap=2)
