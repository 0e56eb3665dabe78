"""A canvas to draw on with the mouse or a finger."""

from collections.abc import Sequence

import torch
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from torch import Tensor

from mnist_vae.explorer.controls import NO_SCROLLING
from mnist_vae.explorer.templates import callback

SIZE = 280  # CSS pixels
NOTE = "Draw here. As MNIST's digits were, a drawing is scaled and centred."
PEN = 22  # width in CSS pixels
EVENTS = ("tap", "doubletap", "panstart", "pan", "panend", "press", "pressup", "mousemove")


class Canvas:
    """A canvas to draw on, white on black.

    Attributes:
        source: the strokes.
        plot: what is to be laid out on the page.
    """

    def __init__(self) -> None:
        self.source = ColumnDataSource({"xs": [], "ys": []}, name="strokes")
        pen = ColumnDataSource({"xs": [], "ys": []})  # the stroke that is being drawn
        bare = {"toolbar_location": None, "min_border": 0, "tools": ""}
        self.plot = figure(width=SIZE, height=SIZE, x_range=(0, 1), y_range=(0, 1), name="canvas", **bare)
        self.plot.styles = NO_SCROLLING
        self.plot.axis.visible = False
        self.plot.grid.visible = False
        self.plot.background_fill_color = "black"
        line = {"line_width": PEN, "line_color": "white", "line_cap": "round", "line_join": "round"}
        for source in (self.source, pen):
            self.plot.multi_line("xs", "ys", source=source, **line)
        # Not FreehandDrawTool, which draws nothing after a press, and reports a stroke only if it ends on the canvas.
        follow = callback("stroke", pen=pen, strokes=self.source)
        for event in EVENTS:
            self.plot.js_on_event(event, follow)

    def segments(self) -> Tensor | None:
        """The line segments drawn, (n, 4): x and y of both ends, y downwards; None if there is none."""
        strokes = zip(self.source.data["xs"], self.source.data["ys"], strict=True)
        found = [_segments(list(xs), list(ys)) for xs, ys in strokes if len(xs)]
        return torch.cat(found) if found else None

    def clear(self) -> None:
        """Take the strokes away."""
        self.source.data = {"xs": [], "ys": []}


def _segments(xs: Sequence[float], ys: Sequence[float]) -> Tensor:
    """Segments (n, 4) of one stroke; a stroke of a single point is a segment of length 0."""
    points = torch.stack([torch.tensor(xs), 1 - torch.tensor(ys)], dim=1).float()
    return torch.cat([points[:-1], points[1:]], dim=1) if len(points) > 1 else points.repeat(1, 2)
