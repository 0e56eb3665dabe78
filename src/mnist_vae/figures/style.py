"""What the figures share."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200
FONT = 8  # points
PALE = "0.3"  # of titles


def tidy(axis: "Axes", title: str) -> None:
    """Small print, a title flush left, and no frame where there is no scale."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=FONT - 1)
    axis.xaxis.label.set_fontsize(FONT)
    axis.yaxis.label.set_fontsize(FONT)
    axis.set_title(title, loc="left", fontsize=FONT, color=PALE)


def pixels(figure: "Figure", dpi: int = 140) -> np.ndarray:
    """A figure as it looks on a screen: uint8 (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3]
