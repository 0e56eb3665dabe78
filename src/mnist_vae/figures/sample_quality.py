"""Quality of the samples of a sweep's runs against their ELBO."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnist_vae.figures.colours import BLUE, INK, RED
from mnist_vae.figures.rate_distortion import label_point, label_sides
from mnist_vae.figures.style import DPI, FONT, style_axes
from mnist_vae.figures.sweeps import WIDTH, Value, abbreviate, drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def sample_quality(
    elbo: Sequence[float],
    frechet_distance: Sequence[float],
    precision: Sequence[float],
    recall: Sequence[float],
    curves: Sequence[Sequence[int]] = (),
    betas: Sequence[Value] = (),
) -> "Figure":
    """Fréchet distance, and precision and recall, of the samples of runs against their test ELBO.

    Args:
        elbo: of each run, in nats per image.
        frechet_distance, precision, recall: of each run's samples; runs of which one is NaN are omitted there.
        curves: sequences of indices of runs that are joined by a line.
        betas: beta of each run, written at the points of the curves; empty for none.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.0), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2)
    _panel(left, elbo, {"": (frechet_distance, INK, "o")}, curves, betas)
    _panel(right, elbo, {"precision": (precision, BLUE, "o"), "recall": (recall, RED, "s")}, curves, betas)
    right.legend(fontsize=FONT, frameon=False)
    for axis, title in ((left, "Fréchet distance to test images"), (right, "Precision and recall")):
        axis.set_xlabel("test ELBO, nats per image" + ("; numbers: β" if betas else ""))
        style_axes(axis, title)
    return figure


def _panel(
    axis: "Axes",
    elbo: Sequence[float],
    measured: dict[str, tuple[Sequence[float], str, str]],
    curves: Sequence[Sequence[int]],
    betas: Sequence[Value],
) -> None:
    """Draw measurements, {name: (values, colour, marker)}, against the ELBO."""
    count = len(elbo)
    points = np.concatenate([np.stack([drawable(elbo), drawable(y)], axis=1) for y, _, _ in measured.values()])
    repeated = [[place * count + run for run in curve] for place in range(len(measured)) for curve in curves]
    for place, (name, (_, colour, marker)) in enumerate(measured.items()):
        axis.plot(*points[place * count :][:count].T, marker, color=colour, markersize=4, label=name, gid="points")
    for curve in repeated:
        colour = [*measured.values()][curve[0] // count][1]
        axis.plot(*points[[index for index in curve if np.isfinite(points[index]).all()]].T, color=colour, linewidth=1)
    for index, side in (label_sides(points, repeated) if betas else {}).items():
        label_point(axis, abbreviate(betas[index % count]), points[index], side)
    axis.margins(0.16, 0.12)  # room for the labels
    axis.locator_params(axis="x", nbins=5)
