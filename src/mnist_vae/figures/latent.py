"""Figures of the latent space: posterior means, and the KL of each latent dimension."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnist_vae.figures.colours import class_colours, to_unit_rgb
from mnist_vae.figures.style import DPI, FONT, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACTIVE = "tab:blue"
INACTIVE = "0.75"
MAX_NUMBERED = 32  # bars


def latent_space(means: np.ndarray, labels: np.ndarray, names: Sequence[str], title: str = "") -> "Figure":
    """Scatter plot of posterior means, coloured by class.

    With more than two latent dimensions it shows the first two principal components, labelled by the fraction of the
    means' variance that each explains.

    Args:
        means: posterior means, (images, latent_dim).
        labels: indices into `names`, (images,).
        names: names of the classes.
        title: title of the figure.
    """
    from matplotlib.figure import Figure

    x, y, axes_names = _project(means, labels)
    figure = Figure(figsize=(5.2, 4.6), dpi=DPI)
    right = max(0.6, 0.87 - 0.014 * max(map(len, names)))  # room for the legend
    axis = figure.subplots(gridspec_kw={"left": 0.1, "right": right, "top": 0.94, "bottom": 0.1})
    colours = to_unit_rgb(class_colours(len(names)))
    order = np.random.default_rng(0).permutation(len(labels))  # otherwise the last class would be drawn over all others
    size = min(18, max(3, 5000 / len(labels)))  # points²: large if there are few images, small if there are many
    axis.scatter(x[order], y[order], s=size, alpha=0.6, linewidths=0, c=colours[labels[order]])
    for label, name in enumerate(names):
        axis.scatter([], [], s=40, color=colours[label], label=name)
    axis.set(xlabel=axes_names[0], ylabel=axes_names[1])
    if means.shape[1] == 1:
        axis.set_yticks(range(len(names)), names)
    else:
        axis.set_aspect("equal", adjustable="datalim")
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=FONT, frameon=False)
    style_axes(axis, title)
    return figure


def kl_per_dimension(kl: np.ndarray, active: np.ndarray, title: str = "", numbered: bool = True) -> "Figure":
    """Bar chart of the KL of each latent dimension in nats, in descending order.

    Args:
        kl: KL(q(z_j|x) || p(z_j)), averaged over images, (latent_dim,).
        active: whether each dimension is an active unit, (latent_dim,) bool; the others are drawn in grey.
        title: title of the figure.
        numbered: label each bar by its dimension, counted from 1, if there are at most MAX_NUMBERED.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    order = np.argsort(-kl, kind="stable")
    figure = Figure(figsize=(5.2, 2.6), dpi=DPI)
    # Fixed margins: the figure is drawn after every epoch, and automatic layout would take longer than drawing.
    axis = figure.subplots(gridspec_kw={"left": 0.1, "right": 0.98, "top": 0.9, "bottom": 0.17})
    axis.bar(range(len(kl)), kl[order], color=[ACTIVE if active[j] else INACTIVE for j in order], width=0.8)
    if not active.all():
        kinds = [Patch(color=ACTIVE, label="active"), Patch(color=INACTIVE, label="not active")]
        axis.legend(handles=kinds, fontsize=FONT - 1, frameon=False)
    axis.set(xlabel="latent dimension, largest first", ylabel="KL in nats", xlim=(-0.6, len(kl) - 0.4))
    axis.set_ylim(0, None)
    axis.set_xticks([])
    if numbered and len(kl) <= MAX_NUMBERED:
        axis.set_xticks(range(len(kl)), [str(j + 1) for j in order])
    style_axes(axis, title)
    return figure


def _project(means: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, str]]:
    """Project posterior means to two dimensions: x (images,), y (images,), and the labels of both axes."""
    latent_dim = means.shape[1]
    if latent_dim == 1:
        # Vertical jitter around each class's line, because thousands of points would overlap.
        return means[:, 0], labels + np.random.default_rng(0).uniform(-0.35, 0.35, len(labels)), ("z₁", "class")
    if latent_dim == 2 or len(means) < 2:
        return means[:, 0], means[:, 1], ("z₁", "z₂")
    centred = means - means.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(centred, rowvar=False))
    fractions = variances[::-1][:2] / max(variances.sum(), 1e-12)
    projected = centred @ directions[:, ::-1][:, :2]
    # The sign of a principal component is arbitrary; the largest loading is made positive, for reproducibility.
    largest = np.abs(directions[:, ::-1][:, :2]).argmax(axis=0)
    projected = projected * np.sign(directions[:, ::-1][largest, [0, 1]])
    names = [f"principal component {i + 1} ({fraction:.1%} of the variance)" for i, fraction in enumerate(fractions)]
    return projected[:, 0], projected[:, 1], (names[0], names[1])
