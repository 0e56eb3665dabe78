"""Mosaics of images, with each image pixel enlarged to a whole number of screen pixels."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mnist_vae.figures.style import DPI, FONT, TITLE_COLOUR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GREY = 128
TILE = 112  # approximate length in screen pixels of the longer side of an image
MANY = 15  # number of columns above which images are half as large
GAP = 8  # screen pixels between images
LINE = 30  # height in screen pixels of a line of text


def image_grid(images: np.ndarray, columns: int, zoom: int = 3, gap: int = 2) -> np.ndarray:
    """Arrange images in a grid without matplotlib, which is fast enough for every epoch.

    Args:
        images: (n, channels, height, width) in [0, 1], in row-major order.
        columns: images per row.
        zoom: screen pixels per image pixel.
        gap: width in screen pixels of the grey lines between images.

    Returns:
        uint8 (height, width, channels).
    """
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    cells = np.full((rows * columns, height, width, channels), GREY, dtype=np.uint8)
    cells[:count] = (images.clip(0, 1) * 255).round().transpose(0, 2, 3, 1)
    return _joined(cells.reshape(rows, columns, height, width, channels), zoom, gap, GREY)


class Block(NamedTuple):
    """Rectangular array of images in a mosaic.

    Attributes:
        images: (rows, columns, channels, height, width); NaN is left blank.
        rows: labels to the left of the rows; empty for none.
        columns: labels above the columns, turned where they would overlap; empty for none.
        heading: line of text above the block.
        gap: screen pixels between images.
        largest: value shown as white, or as the upper end of the colour map; its lower end is 0.
        cmap: name of the matplotlib colour map for images of one channel.
    """

    images: np.ndarray
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    heading: str = ""
    gap: int = GAP
    largest: float = 1.0
    cmap: str = "gray"


def mosaic(blocks: Sequence[Block], title: str = "") -> "Figure":
    """Draw blocks of images below one another, left-aligned, under a title of one or more lines."""
    from matplotlib.figure import Figure

    left = max((_text_width(name) for block in blocks for name in block.rows), default=0) + 2 * GAP
    layouts = [_Layout(block) for block in blocks]
    widths = [max(layout.width, _text_width(block.heading)) for block, layout in zip(blocks, layouts, strict=True)]
    width = max(left + max(widths) + GAP, _text_width(title) + 2 * GAP)
    above = LINE * len(title.splitlines()) + GAP if title else 0
    height = above + GAP + sum(layout.above + layout.height + 2 * GAP for layout in layouts)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    top = height - GAP
    if title:
        _text(figure, GAP, top, title, color=TITLE_COLOUR, va="top")
        top -= above
    for block, layout in zip(blocks, layouts, strict=True):
        top -= layout.above
        _draw(figure, block, layout, left, top)
        top -= layout.height + 2 * GAP
    return figure


class _Layout:
    """Dimensions of a block in screen pixels."""

    def __init__(self, block: Block) -> None:
        rows, columns, _, height, width = block.images.shape
        self.zoom = max(1, (TILE if columns <= MANY else TILE // 2) // max(height, width))
        self.tile = (self.zoom * height + block.gap, self.zoom * width + block.gap)  # gap included
        self.height = rows * self.tile[0] - block.gap
        self.width = columns * self.tile[1] - block.gap
        self.turned = _overlap(block.columns, self.tile[1])
        self.names = LINE * bool(block.columns)  # height of the labels of the columns
        if self.turned:
            self.names = max(map(_text_width, block.columns)) + GAP
        self.above = LINE * bool(block.heading) + self.names


def _draw(figure: "Figure", block: Block, layout: _Layout, left: int, top: int) -> None:
    """Draw a block whose upper left corner, labels excluded, is at (left, top) screen pixels from the lower left."""
    box = (left, top - layout.height, layout.width, layout.height)
    # Rounded, because with a fractional size the last row or column of screen pixels may be missing.
    width, height = (round(size * DPI) for size in figure.get_size_inches())
    axis = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
    pixels = _joined(_coloured(block), layout.zoom, block.gap, 0)
    axis.imshow(pixels, interpolation="none", aspect="auto")
    axis.set_axis_off()
    for row, name in enumerate(block.rows):
        middle = top - row * layout.tile[0] - (layout.tile[0] - block.gap) / 2
        _text(figure, left - GAP, middle, name, ha="right", va="center")
    for column, name in enumerate(block.columns):
        middle = left + column * layout.tile[1] + (layout.tile[1] - block.gap) / 2
        _text(figure, middle, top + GAP / 2, name, ha="center", va="bottom", rotation=90 * layout.turned)
    if block.heading:
        _text(figure, left, top + GAP / 2 + layout.names, block.heading, va="bottom", color=TITLE_COLOUR)


def _coloured(block: Block) -> np.ndarray:
    """Colours of a block's values, uint8 (rows, columns, height, width, RGBA); NaN is transparent.

    They are computed before the images are enlarged, when there are a hundred times fewer of them.
    """
    import matplotlib

    values = np.moveaxis(block.images, 2, -1) / block.largest
    if values.shape[-1] == 1:
        return matplotlib.colormaps[block.cmap](np.ma.masked_invalid(values[..., 0]), bytes=True)
    opaque = ~np.isnan(values).any(axis=-1, keepdims=True)
    return (255 * np.concatenate([np.nan_to_num(values).clip(0, 1), opaque], axis=-1)).round().astype(np.uint8)


def _joined(cells: np.ndarray, zoom: int, gap: int, between: int) -> np.ndarray:
    """Join uint8 (rows, columns, height, width, channels) to (height, width, channels), enlarged, with gaps."""
    rows, columns, height, width, channels = cells.shape
    large = np.full((rows, height * zoom + gap, columns, width * zoom + gap, channels), between, dtype=np.uint8)
    large[:, : height * zoom, :, : width * zoom] = cells.repeat(zoom, axis=2).repeat(zoom, axis=3).swapaxes(1, 2)
    grid = large.reshape(rows * (height * zoom + gap), -1, channels)
    return grid[: len(grid) - gap, : grid.shape[1] - gap]


def _text(figure: "Figure", x: float, y: float, text: str, **style: str | float) -> None:
    """Draw text at (x, y) screen pixels from the lower left."""
    width, height = figure.get_size_inches() * DPI
    figure.text(x / width, y / height, text, fontsize=FONT, **style)  # type: ignore[arg-type]


def _overlap(names: Sequence[str], tile: int) -> bool:
    """Whether labels would overlap that are centred on columns of a width; empty ones take no room."""
    widths = [(column, _text_width(name)) for column, name in enumerate(names) if name]
    return any((a + b) / 2 + GAP > (right - left) * tile for (left, a), (right, b) in pairwise(widths))


@lru_cache(maxsize=1000)  # a sweep draws the same labels for every run
def _text_width(text: str) -> int:
    """Width of lines of text in screen pixels."""
    from matplotlib.textpath import TextPath

    lines = [line for line in text.splitlines() if line.strip()]
    extents = [TextPath((0, 0), line, size=FONT).get_extents().width for line in lines]
    return int(max(extents, default=0) * DPI / 72) + 2 * bool(lines)
