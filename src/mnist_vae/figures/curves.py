"""Learning curves of the ELBO and its terms."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mnist_vae.figures.colours import SPLITS
from mnist_vae.figures.style import DPI, FONT, TITLE_COLOUR, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {"elbo": "ELBO", "reconstruction": "reconstruction", "kl": "KL"}
MARGINS = {"left": 0.085, "right": 0.985, "top": 0.81, "bottom": 0.18, "wspace": 0.28}


def curves(rows: Sequence[Mapping[str, float]], test: Mapping[str, float] | None = None, title: str = "") -> "Figure":
    """ELBO, reconstruction and KL over epochs for training and validation, in nats per image.

    Args:
        rows: one per epoch, with the columns of metrics.csv: `epoch`, `train/…` and optionally `val/…`.
        test: `test/…` of the checkpoint that was tested, drawn as a point at `best_epoch`, its epoch.
        title: title of the figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.5, 2.5), dpi=DPI)
    panels = figure.subplots(1, len(PANELS), gridspec_kw=MARGINS)
    for axis, (name, heading) in zip(panels, PANELS.items(), strict=True):
        for split in ("train", "val"):
            points = [(row["epoch"], row[f"{split}/{name}"]) for row in rows if f"{split}/{name}" in row]
            if points:
                style = {"marker": "o", "markersize": 3} if len(points) <= 20 else {}
                axis.plot(*zip(*points, strict=True), color=SPLITS[split], label=split, linewidth=1.2, **style)
        if test and f"test/{name}" in test:
            axis.plot(test["best_epoch"], test[f"test/{name}"], "*", color=SPLITS["test"], label="test", markersize=7)
        if len(rows) == 1:
            # Otherwise the tick labels would be fractions of an epoch.
            axis.set_xlim(rows[0]["epoch"] - 1, rows[0]["epoch"] + 1)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set(xlabel="epoch", ylabel="nats per image" if name == "elbo" else "")
        style_axes(axis, heading)
    figure.axes[0].legend(fontsize=FONT, frameon=False, loc="lower right")
    figure.suptitle(title, x=0.01, ha="left", fontsize=FONT, color=TITLE_COLOUR)
    return figure
