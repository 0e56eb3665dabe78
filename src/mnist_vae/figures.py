"""Pictures of images: arrays in, matplotlib Figure or pixel array out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GREY = 0.5


def image_grid(images: np.ndarray, columns: int, zoom: int = 3, gap: int = 2) -> np.ndarray:
    """Images side by side, enlarged pixel by pixel; quick enough for every epoch.

    Args:
        images: (n, channels, height, width) in [0, 1], row after row.
        columns: images in a row.
        zoom: screen pixels per image pixel.
        gap: grey pixels between images.

    Returns:
        uint8 (height, width, channels).
    """
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    cells = np.full((rows * columns, channels, height, width), GREY, dtype=np.float32)
    cells[:count] = images
    cells = np.pad(cells.repeat(zoom, axis=2).repeat(zoom, axis=3), ((0, 0), (0, 0), (0, gap), (0, gap)))
    cells[:, :, height * zoom :] = cells[:, :, :, width * zoom :] = GREY
    grid = cells.reshape(rows, columns, channels, height * zoom + gap, width * zoom + gap)
    grid = grid.transpose(0, 3, 1, 4, 2).reshape(rows * (height * zoom + gap), -1, channels)
    return (grid[:-gap, :-gap].clip(0, 1) * 255).round().astype(np.uint8)


def results_figure(
    originals: np.ndarray,
    reconstructions: np.ndarray,
    samples: np.ndarray,
    labels: Sequence[str],
    title: str = "",
) -> "Figure":
    """The three rows that show what a VAE learned: originals, their reconstructions, samples from the prior.

    Args:
        originals, reconstructions, samples: (n, channels, height, width) in [0, 1], one column each.
        labels: n names for the columns, those of the originals' classes.
        title: a line above the figure.
    """
    from matplotlib.figure import Figure

    rows = {"originals": originals, "reconstructions": reconstructions, "samples": samples}
    columns = len(labels)
    figure = Figure(figsize=(0.75 * columns + 1.3, 0.75 * len(rows) + 0.5), dpi=200)
    left, top = 1.2 / figure.get_figwidth(), 1 - 0.47 / figure.get_figheight()
    axes = figure.subplots(
        len(rows),
        columns,
        squeeze=False,
        gridspec_kw={"left": left, "right": 0.99, "top": top, "bottom": 0.03, "wspace": 0.06, "hspace": 0.06},
    )
    for row, (name, images) in enumerate(rows.items()):
        for column in range(columns):
            axis = axes[row, column]
            axis.imshow(_pixels(images[column]), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    for column, label in enumerate(labels):
        axes[0, column].set_title(label, fontsize=9, pad=3)
    figure.suptitle(title, x=left, y=0.985, ha="left", va="top", fontsize=9, color="0.3")
    return figure


def _pixels(image: np.ndarray) -> np.ndarray:
    """(channels, height, width) as imshow wants it: (height, width), or with three channels last."""
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)
