"""What the decoder makes of codes: named figures, each a mosaic."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnist_vae.figures.mosaics import Block, mosaic

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def results(
    originals: np.ndarray,
    reconstructions: np.ndarray,
    samples: np.ndarray,
    labels: Sequence[str],
    title: str = "",
) -> "Figure":
    """What a VAE learned at a glance: originals over their reconstructions, and samples from the prior.

    Args:
        originals, reconstructions: (n, channels, height, width) in [0, 1], a column each.
        samples: (m, channels, height, width), n of them in a row; what fills no row is left out.
        labels: n names for the columns, those of the originals' classes.
        title: a line above the figure.
    """
    columns = len(originals)
    rows = len(samples) // columns
    drawn = samples[: rows * columns].reshape(rows, columns, *samples.shape[1:])
    pairs = np.stack([originals, reconstructions])
    names = ["samples", *[""] * (rows - 1)]
    return mosaic([Block(pairs, ["originals", "reconstructions"], labels), Block(drawn, names)], title)


def samples(images: np.ndarray, columns: int = 10, title: str = "") -> "Figure":
    """Images (n, channels, height, width) in rows of `columns`."""
    rows = -(-len(images) // columns)
    cells = np.full((rows * columns, *images.shape[1:]), np.nan, dtype=np.float32)
    cells[: len(images)] = images
    return mosaic([Block(cells.reshape(rows, columns, *images.shape[1:]))], title)


def manifold(images: np.ndarray, title: str = "") -> "Figure":
    """The plane of a two-dimensional code, decoded: Kingma & Welling (2014), appendix A, figure 4.

    Args:
        images: (rows, columns, channels, height, width): the first latent dimension grows to the right, the
            second upwards, so the last row is that of its smallest value.
    """
    return mosaic([Block(images, gap=0)], title)


def traversals(images: np.ndarray, dimensions: Sequence[str], positions: Sequence[float], title: str = "") -> "Figure":
    """What each latent dimension does: a row where it alone moves.

    Args:
        images: (dimensions, positions, channels, height, width).
        dimensions: the rows' names.
        positions: where each column lies, in standard deviations from where the walk began.
    """
    return mosaic([Block(images, dimensions, [f"{position:+g}" if position else "0" for position in positions])], title)


def interpolations(images: np.ndarray, first: np.ndarray, last: np.ndarray, title: str = "") -> "Figure":
    """From one image to another by way of their codes.

    Args:
        images: (pairs, steps, channels, height, width), from the first one's reconstruction to the last one's.
        first, last: the images themselves, (pairs, channels, height, width).
    """
    steps = images.shape[1]
    shown = np.concatenate([first[:, None], images, last[:, None]], axis=1)
    names = ["image", *[f"{step / max(1, steps - 1):.0%}" for step in range(steps)], "image"]
    return mosaic([Block(shown, columns=names)], title)


def uncertainty(
    originals: np.ndarray, means: np.ndarray, deviations: np.ndarray, labels: Sequence[str], title: str = ""
) -> "Figure":
    """Where the reconstruction is not sure: pixel by pixel, its spread over draws of the code.

    Args:
        originals: (n, channels, height, width) in [0, 1].
        means, deviations: of the same shape, the mean and the standard deviation over draws from q(z|x).
        labels: n names for the columns.
    """
    grey = deviations.mean(axis=1, keepdims=True)
    largest = float(max(grey.max(), 1e-6))
    return mosaic(
        [
            Block(np.stack([originals, means]), ["originals", "mean"], labels),
            Block(grey[None], [f"std, 0 to {largest:.2g}"], largest=largest, cmap="magma"),
        ],
        title,
    )


def likeness(
    labels: Sequence[str],
    originals: np.ndarray,
    reconstructions: np.ndarray,
    interpolations: np.ndarray,
    variations: np.ndarray,
    title: str = "",
) -> "Figure":
    """Test images with some labels: reconstructed, on the way from one to another, and varied.

    Args:
        labels: names of the labels.
        originals, reconstructions: (labels, n, channels, height, width) in [0, 1].
        interpolations: (pairs, paths, steps, channels, height, width), of neighbouring labels, or within the only one.
        variations: (labels, m, channels, height, width), around the first original of each.
    """
    pairs = np.stack([originals, reconstructions], axis=1)
    pairs = pairs.reshape(-1, *pairs.shape[2:])
    pair_names = [f"{name}{kind}" for name in labels for kind in ("", ", reconstructed")]
    ways = [f"{a} to {b}" for a, b in zip(labels, labels[1:] or labels, strict=False)]
    way_names = [name if path == 0 else "" for name in ways for path in range(interpolations.shape[1])]
    paths = interpolations.reshape(-1, *interpolations.shape[2:])
    varied = np.concatenate([originals[:, :1], variations], axis=1)
    varied_names = [f"{name}, and variations" for name in labels]
    return mosaic([Block(pairs, pair_names), Block(paths, way_names), Block(varied, varied_names)], title)
