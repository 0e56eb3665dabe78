"""Mosaics of decoded images: samples, reconstructions, latent traversals, interpolations and manifolds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnist_vae.figures.mosaics import Block, mosaic
from mnist_vae.figures.style import signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def results(
    originals: np.ndarray,
    reconstructions: np.ndarray,
    samples: np.ndarray,
    labels: Sequence[str],
    title: str = "",
    sample_labels: Sequence[str] = (),
) -> "Figure":
    """Overview of a run: originals above their reconstructions, and samples from the prior.

    Args:
        originals, reconstructions: (n, channels, height, width) in [0, 1], one column each.
        samples: (m, channels, height, width), n per row; an incomplete last row is omitted.
        labels: labels of the columns, the classes of the originals.
        title: title of the figure.
        sample_labels: labels in turn that samples of a conditional VAE have, one column each; empty for samples of no
            class.
    """
    columns = len(sample_labels) or len(originals)
    rows = len(samples) // columns
    sample_rows = samples[: rows * columns].reshape(rows, columns, *samples.shape[1:])
    pairs = np.stack([originals, reconstructions])
    heading = "samples from the prior" + (", each column with its label" if sample_labels else "")
    first = Block(pairs, ["originals", "reconstructions"], labels)
    return mosaic([first, Block(sample_rows, columns=sample_labels, heading=heading)], title)


def samples(
    images: np.ndarray, columns: int = 10, title: str = "", names: Sequence[str] = (), largest: float = 1.0
) -> "Figure":
    """Grid of images (n, channels, height, width), `columns` per row.

    Args:
        names: labels of the rows; empty for none.
        largest: value shown as white; 0 is black.
    """
    rows = -(-len(images) // columns)
    cells = np.full((rows * columns, *images.shape[1:]), np.nan, dtype=np.float32)
    cells[: len(images)] = images
    return mosaic([Block(cells.reshape(rows, columns, *images.shape[1:]), names, largest=largest)], title)


def manifold(images: np.ndarray, title: str = "", codes: np.ndarray | None = None) -> "Figure":
    """Manifold of a two-dimensional latent space: Kingma & Welling (2014), appendix A, figure 4.

    Args:
        images: (rows, columns, channels, height, width). The first latent dimension increases to the right, the
            second upwards, so its smallest value is in the last row.
        title: title of the figure.
        codes: values of both dimensions in ascending order, (images per side, 2), of which every third is shown.
    """
    across, up = [], []
    if codes is not None:
        shown = [index % 3 == 0 for index in range(len(codes))]
        across, up = (
            [f"{name} = {signed(f'{value:.2f}')}" if show else "" for value, show in zip(values, shown, strict=True)]
            for name, values in zip(("z₁", "z₂"), codes.T, strict=True)
        )
    return mosaic([Block(images, up[::-1], across, gap=0)], title)


def traversals(images: np.ndarray, dimensions: Sequence[str], positions: Sequence[float], title: str = "") -> "Figure":
    """Latent traversals: one row per latent dimension.

    Args:
        images: (dimensions, positions, channels, height, width).
        dimensions: labels of the rows, such as the dimension and its KL.
        positions: offset of each column from the code that is varied, in standard deviations.
        title: title of the figure.
    """
    offsets = [signed(f"{position:+g}") if position else "0" for position in positions]
    return mosaic([Block(images, dimensions, offsets)], title)


def interpolations(images: np.ndarray, first: np.ndarray, last: np.ndarray, title: str = "") -> "Figure":
    """Interpolations between the codes of two images, framed by the images.

    Args:
        images: (pairs, steps, channels, height, width), from the reconstruction of `first` to that of `last`.
        first, last: images (pairs, channels, height, width).
        title: title of the figure.
    """
    steps = images.shape[1]
    cells = np.concatenate([first[:, None], images, last[:, None]], axis=1)
    names = ["image", *[f"{100 * step / max(1, steps - 1):.3g}%" for step in range(steps)], "image"]
    return mosaic([Block(cells, columns=names)], title)


def uncertainty(
    originals: np.ndarray, means: np.ndarray, stds: np.ndarray, labels: Sequence[str], title: str = ""
) -> "Figure":
    """Mean and standard deviation of each pixel of the reconstructions over samples from q(z|x).

    Args:
        originals: (n, channels, height, width) in [0, 1].
        means, stds: of the same shape; standard deviations are averaged over channels.
        labels: labels of the columns.
        title: title of the figure.
    """
    grey = stds.mean(axis=1, keepdims=True)
    largest = float(max(grey.max(), 1e-6))
    return mosaic(
        [
            Block(np.stack([originals, means]), ["originals", "mean"], labels),
            Block(grey[None], [f"std, 0 to {largest:.2g}"], largest=largest, cmap="magma"),
        ],
        title,
    )


def variations(
    labels: Sequence[str],
    originals: np.ndarray,
    reconstructions: np.ndarray,
    interpolations: np.ndarray,
    variations: np.ndarray,
    title: str = "",
) -> "Figure":
    """Reconstructions, interpolations and variations of test images of some labels.

    Args:
        labels: names of the labels.
        originals, reconstructions: (labels, n, channels, height, width) in [0, 1].
        interpolations: (pairs, paths, steps, channels, height, width) between consecutive labels, or within a single
            label.
        variations: (labels, m, channels, height, width), variations of the first original of each label.
        title: title of the figure.
    """
    pairs = np.stack([originals, reconstructions], axis=1)
    pairs = pairs.reshape(-1, *pairs.shape[2:])
    pair_names = [f"{name}{kind}" for name in labels for kind in ("", ", reconstructed")]
    label_pairs = [f"{a} to {b}" for a, b in zip(labels, labels[1:] or labels, strict=False)]
    path_names = [name if path == 0 else "" for name in label_pairs for path in range(interpolations.shape[1])]
    paths = interpolations.reshape(-1, *interpolations.shape[2:])
    varied = np.concatenate([originals[:, :1], variations], axis=1)
    varied_names = [f"{name}, and variations" for name in labels]
    return mosaic([Block(pairs, pair_names), Block(paths, path_names), Block(varied, varied_names)], title)
