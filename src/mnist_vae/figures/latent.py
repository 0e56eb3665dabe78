"""Figures of the latent space: posterior means, and the KL of each latent dimension."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mnist_vae.figures.colours import BLUE, GREY, class_colours, to_unit_rgb
from mnist_vae.figures.style import DPI, FONT, TITLE_COLOUR, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACTIVE, INACTIVE = BLUE, GREY
MAX_NUMBERED = 32  # bars
RADII = np.array([1, 2, 3])  # of circles around the prior's mean, in standard deviations
SHARES = 1 - np.exp(-(RADII**2) / 2)  # of a two-dimensional normal distribution within them
GRID = 80  # points a side, at which the prior's density is estimated
PRIOR_LINE: dict[str, Any] = {"color": "0.25", "linewidth": 0.8}


def latent_space(
    means: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    title: str = "",
    prior: np.ndarray | Literal["standard_normal"] | None = None,
) -> "Figure":
    """Scatter plot of posterior means, coloured by class, with lines around most of the prior.

    With more than two latent dimensions it shows the first two principal components, labelled by the fraction of the
    means' variance that each explains. They are orthonormal, so that a standard normal prior is one in them too.

    Args:
        means: posterior means, (images, latent_dim).
        labels: indices into `names`, (images,).
        names: names of all classes; a class has the same colour whichever others occur.
        title: title of the figure.
        prior: samples of the prior, (samples, latent_dim), or the standard normal, of which circles are drawn. One
            latent dimension is shown without it.
    """
    from matplotlib.figure import Figure

    origin, directions, axes_names = _plane(means)
    x, y = ((means - origin) @ directions).T
    beside = min(0.4, 0.0145 * max(map(len, names)))  # width of the names of the classes
    left, right = 0.14, 0.89 - beside
    if means.shape[1] == 1:
        left, right = 0.11 + beside, 0.97
        # Vertical jitter around each class's line, because thousands of points would overlap.
        y = labels + np.random.default_rng(0).uniform(-0.35, 0.35, len(labels))
        prior = None
    figure = Figure(figsize=(4.6, 4.4), dpi=DPI)
    axis = figure.subplots(gridspec_kw={"left": left, "right": right, "top": 0.87, "bottom": 0.1})
    colours = to_unit_rgb(class_colours(len(names)))
    order = np.random.default_rng(0).permutation(len(labels))  # otherwise the last class would be drawn over all others
    size = min(18, max(4, 5000 / len(labels)))  # points²: large if there are few images, small if there are many
    axis.scatter(x[order], y[order], s=size, alpha=0.6, linewidths=0, c=colours[labels[order]])
    for label in np.unique(labels):
        axis.scatter([], [], s=40, color=colours[label], label=names[label])
    if isinstance(prior, np.ndarray):
        _draw_contours(axis, (prior - origin) @ directions)
        title += f"\nlines around {', '.join(f'{share:.0%}' for share in SHARES)} of the prior"
    elif prior:
        _draw_circles(axis, -origin @ directions)
        title += f"\ncircles: {', '.join(map(str, RADII))} standard deviations of the prior"
    axis.set(xlabel=axes_names[0], ylabel=axes_names[1])
    if means.shape[1] == 1:
        axis.set_yticks(range(len(names)), names)
    else:
        axis.set_aspect("equal", adjustable="datalim")
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=FONT, frameon=False, handletextpad=0.1)
    style_axes(axis, "")
    _set_title(figure, title)
    return figure


def kl_per_dimension(kl: np.ndarray, active: np.ndarray, title: str = "", numbered: bool = True) -> "Figure":
    """Bar chart of the KL of each latent dimension in nats, in descending order.

    Args:
        kl: KL(q(z_j|x) || p(z_j)), averaged over images, (latent_dim,).
        active: whether each dimension is an active unit, (latent_dim,) bool; the others are drawn in grey, with a dot,
            because most of their bars are too low to be seen.
        title: title of the figure.
        numbered: label each bar by its dimension, counted from 1, if there are at most MAX_NUMBERED.
    """
    from matplotlib.figure import Figure

    order = np.argsort(-kl, kind="stable")
    figure = Figure(figsize=(5.2, 2.6), dpi=DPI)
    # Fixed margins: the figure is drawn after every epoch, and automatic layout would take longer than drawing.
    axis = figure.subplots(gridspec_kw={"left": 0.14, "right": 0.98, "top": 0.83, "bottom": 0.17})
    bars = axis.bar(range(len(kl)), kl[order], color=[ACTIVE if active[j] else INACTIVE for j in order], width=0.8)
    if not active.all():
        ranks = np.flatnonzero(~active[order])
        dots = axis.plot(ranks, kl[order][ranks], "o", color=INACTIVE, markersize=3, clip_on=False)
        kinds = {"not active": dots[0]}
        if active.any():
            kinds = {"active": bars[int(np.flatnonzero(active[order])[0])], **kinds}
        axis.legend(kinds.values(), kinds, fontsize=FONT, frameon=False, loc="upper right")
    axis.set(xlabel="latent dimension, largest first", ylabel="KL in nats", xlim=(-0.6, len(kl) - 0.4))
    axis.set_ylim(0, None)
    axis.set_xticks([])
    if numbered and len(kl) <= MAX_NUMBERED:
        axis.set_xticks(range(len(kl)), [str(j + 1) for j in order])
    style_axes(axis, "")
    _set_title(figure, title)
    return figure


def _set_title(figure: "Figure", title: str) -> None:
    """Set the title across the figure, wider than its axes, and wrapped if it is too long."""
    figure.suptitle(title, x=0.02, y=0.985, ha="left", va="top", fontsize=FONT, color=TITLE_COLOUR, wrap=True)


def _plane(means: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, str]]:
    """Find the plane that shows most of the means: a point on it, (latent_dim,), its directions, (latent_dim, 2), and
    the labels of both axes.
    """
    latent_dim = means.shape[1]
    if latent_dim <= 2 or len(means) < 2:
        return np.zeros(latent_dim), np.eye(latent_dim, 2), ("z₁", "class" if latent_dim == 1 else "z₂")
    import torch

    from mnist_vae.analysis.plane import principal_components

    components = principal_components(torch.from_numpy(means), 2)
    directions = np.stack([component.direction.numpy() for component in components], axis=1)
    fractions = (means @ directions).var(axis=0) / max(means.var(axis=0).sum(), 1e-12)
    names = [f"principal component {i + 1} ({fraction:.1%} of the variance)" for i, fraction in enumerate(fractions)]
    return means.mean(axis=0), directions, (names[0], names[1])


def _draw_circles(axis: "Axes", centre: np.ndarray) -> None:
    angles = np.linspace(0, 2 * np.pi, 200)
    for radius in RADII:
        axis.plot(centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles), gid="prior", **PRIOR_LINE)


def _draw_contours(axis: "Axes", samples: np.ndarray) -> None:
    """Draw the lines of equal density around SHARES of the samples, (samples, 2)."""
    import torch

    from mnist_vae.analysis.plane import density

    margin = 0.1 * np.ptp(samples, axis=0)  # so that the lines close
    limits = np.stack([samples.min(axis=0) - margin, samples.max(axis=0) + margin], axis=1)
    x, y = (np.linspace(low, high, GRID) for low, high in limits)
    estimate = density(*(torch.from_numpy(array).float() for array in (samples, x, y))).numpy()
    descending = np.sort(estimate, axis=None)[::-1]
    mass = descending.cumsum() / descending.sum()
    levels = np.unique(descending[[int(np.argmax(mass >= share)) for share in SHARES]])
    axis.contour(x, y, estimate, levels, colors=PRIOR_LINE["color"], linewidths=PRIOR_LINE["linewidth"])
