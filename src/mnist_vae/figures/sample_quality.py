"""Quality of samples against the ELBO, of runs along beta."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnist_vae.figures.colours import BLUE, INK, RED
from mnist_vae.figures.style import DPI, FONT, style_axes
from mnist_vae.figures.sweeps import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# On which side of its point a label stands: to the right while the ELBO rises along beta, else to the left.
RISING, FALLING = ((6, 0), "left"), ((-6, 0), "right")


def sample_quality(
    beta: Sequence[float],
    elbo: Sequence[float],
    frechet_distance: Sequence[float],
    precision: Sequence[float],
    recall: Sequence[float],
) -> "Figure":
    """Fréchet distance, and precision and recall, of the samples of runs against their test ELBO.

    The runs are joined by rising beta, which is written at the points of the Fréchet distance and of the precision.

    Args:
        beta, elbo: of each run; the ELBO in nats per image.
        frechet_distance, precision, recall: of each run's samples.
    """
    from matplotlib.figure import Figure

    order = np.argsort(beta)
    betas, x = np.asarray(beta)[order], np.asarray(elbo)[order]
    figure = Figure(figsize=(7.2, 3.0), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2)
    _line(left, x, np.asarray(frechet_distance)[order], INK)
    _labels(left, betas, x, np.asarray(frechet_distance)[order])
    left.set_ylim(bottom=0)
    style_axes(left, "Fréchet distance to test images")
    _line(right, x, np.asarray(precision)[order], BLUE, "precision")
    _line(right, x, np.asarray(recall)[order], RED, "recall", "s")
    _labels(right, betas, x, np.asarray(precision)[order])
    _labels(right, betas, x, np.asarray(recall)[order])
    style_axes(right, "Precision and recall")
    right.legend(fontsize=FONT, frameon=False)
    for axis in (left, right):
        axis.set_xlabel("test ELBO, nats per image; numbers: β")
        axis.margins(x=0.1)
        style_axes(axis, axis.get_title(loc="left"))
    return figure


def _line(axis: "Axes", x: np.ndarray, y: np.ndarray, colour: str, label: str = "", marker: str = "o") -> None:
    axis.plot(x, y, color=colour, linewidth=1, marker=marker, markersize=4, label=label, gid="curve")


def _labels(axis: "Axes", betas: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    best = int(np.argmax(x))
    for place, beta in enumerate(betas):
        offset, side = RISING if place >= best else FALLING
        axis.annotate(
            short(float(beta)),
            (x[place], y[place]),
            xytext=offset,
            textcoords="offset points",
            fontsize=FONT,
            color=INK,
            ha=side,
            va="center",
            gid="beta",
        )
