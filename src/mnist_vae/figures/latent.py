"""Figures of the latent space itself."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mnist_vae.figures.style import DPI, FONT, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACTIVE = "tab:blue"
SILENT = "0.75"
MOST_NUMBERED = 32


def latent_space(means: np.ndarray, labels: np.ndarray, names: Sequence[str], title: str = "") -> "Figure":
    """Posterior means coloured by class: the line or plane itself for one or two dimensions, else its first two
    principal components, with the share of the means' variance that each explains.

    Args:
        means: (images, latent_dim).
        labels: (images,), integers that index `names`.
        names: the classes.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    x, y, axes_names = _plane(means, labels)
    figure = Figure(figsize=(5.2, 4.6), dpi=DPI)
    right = max(0.6, 0.87 - 0.014 * max(map(len, names)))  # room for the legend
    axis = figure.subplots(gridspec_kw={"left": 0.1, "right": right, "top": 0.94, "bottom": 0.1})
    colours = colormaps["tab10" if len(names) <= 10 else "tab20"]
    order = np.random.default_rng(0).permutation(len(labels))  # or the last class would lie on top of all others
    size = min(18, max(3, 5000 / len(labels)))  # points², so that few are seen and many don't run together
    axis.scatter(x[order], y[order], s=size, alpha=0.6, linewidths=0, c=colours(labels[order] % colours.N))
    for label, name in enumerate(names):
        axis.scatter([], [], s=40, color=colours(label % colours.N), label=name)
    axis.set(xlabel=axes_names[0], ylabel=axes_names[1])
    if means.shape[1] == 1:
        axis.set_yticks(range(len(names)), names)
    else:
        axis.set_aspect("equal", adjustable="datalim")
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=FONT, frameon=False)
    tidy(axis, title)
    return figure


def kl_per_dimension(kl: np.ndarray, active: np.ndarray, title: str = "", numbered: bool = True) -> "Figure":
    """Nats of each latent dimension, largest first, so that those that fell silent are seen at the end.

    Args:
        kl: KL(q(z_j|x) || p(z_j)) averaged over images, (latent_dim,).
        active: which of them are active units, (latent_dim,) bool; the others are grey.
        numbered: write each dimension's number, counted from 1, below its bar, if there is room.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    order = np.argsort(-kl, kind="stable")
    figure = Figure(figsize=(5.2, 2.6), dpi=DPI)
    # Placed by hand: this is drawn after every epoch, and working out a layout would take longer than the rest.
    axis = figure.subplots(gridspec_kw={"left": 0.1, "right": 0.98, "top": 0.9, "bottom": 0.17})
    axis.bar(range(len(kl)), kl[order], color=[ACTIVE if active[j] else SILENT for j in order], width=0.8)
    if not active.all():
        kinds = [Patch(color=ACTIVE, label="active"), Patch(color=SILENT, label="not active")]
        axis.legend(handles=kinds, fontsize=FONT - 1, frameon=False)
    axis.set(xlabel="latent dimension, largest first", ylabel="KL in nats", xlim=(-0.6, len(kl) - 0.4))
    axis.set_ylim(0, None)
    axis.set_xticks([])
    if numbered and len(kl) <= MOST_NUMBERED:
        axis.set_xticks(range(len(kl)), [str(j + 1) for j in order])
    tidy(axis, title)
    return figure


def _plane(means: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, str]]:
    """x, y and the names of both axes."""
    latent_dim = means.shape[1]
    if latent_dim == 1:
        # Spread within each class's line, or thousands of points would hide one another.
        return means[:, 0], labels + np.random.default_rng(0).uniform(-0.35, 0.35, len(labels)), ("z₁", "class")
    if latent_dim == 2 or len(means) < 2:
        return means[:, 0], means[:, 1], ("z₁", "z₂")
    centred = means - means.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(centred, rowvar=False))
    shares = variances[::-1][:2] / max(variances.sum(), 1e-12)
    projected = centred @ directions[:, ::-1][:, :2]
    # The sign of a principal component is arbitrary; let the largest weight be positive, so that runs agree.
    largest = np.abs(directions[:, ::-1][:, :2]).argmax(axis=0)
    projected = projected * np.sign(directions[:, ::-1][largest, [0, 1]])
    names = [f"principal component {i + 1} ({share:.1%} of the variance)" for i, share in enumerate(shares)]
    return projected[:, 0], projected[:, 1], (names[0], names[1])
