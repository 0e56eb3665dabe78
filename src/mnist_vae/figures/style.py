"""Style and rendering shared by the figures."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200
FONT = 8  # points; no text is smaller
TITLE_COLOUR = "0.3"


def style_axes(axis: "Axes", title: str) -> None:
    """Set the title, left-aligned, and the font sizes, and hide the top and right spines."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=FONT)
    axis.xaxis.label.set_fontsize(FONT)
    axis.yaxis.label.set_fontsize(FONT)
    for scale in (axis.xaxis, axis.yaxis):
        scale.get_offset_text().set_fontsize(FONT)
    axis.set_title(title, loc="left", fontsize=FONT, color=TITLE_COLOUR)


def signed(number: str) -> str:
    """Replace the hyphen of a formatted number by a minus sign, as on matplotlib's axes."""
    return number.replace("-", "\N{MINUS SIGN}")


def pixels(figure: "Figure", dpi: int = 140) -> np.ndarray:
    """Render a figure as uint8 RGB pixels (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3]
