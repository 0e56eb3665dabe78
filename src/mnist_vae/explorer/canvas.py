"""A canvas to draw on with the mouse or a finger."""

from collections.abc import Sequence

import torch
from bokeh.models import ColumnDataSource, CustomJS, FreehandDrawTool
from bokeh.plotting import figure
from torch import Tensor

from mnist_vae.explorer.controls import NO_SCROLLING
from mnist_vae.explorer.templates import read

SIZE = 280  # CSS pixels
NOTE = "Draw here. As MNIST's digits were, a drawing is scaled and centred."
PEN = 22  # width in CSS pixels


class Canvas:
    """A canvas to draw on, white on black.

    Attributes:
        source: the strokes.
        plot: what is to be laid out on the page.
    """

    def __init__(self) -> None:
        self.source = ColumnDataSource({"xs": [], "ys": []}, name="strokes")
        bare = {"toolbar_location": None, "min_border": 0, "tools": ""}
        self.plot = figure(width=SIZE, height=SIZE, x_range=(0, 1), y_range=(0, 1), name="canvas", **bare)
        self.plot.styles = NO_SCROLLING
        self.plot.axis.visible = False
        self.plot.grid.visible = False
        self.plot.background_fill_color = "black"
        pen = {"line_width": PEN, "line_color": "white", "line_cap": "round", "line_join": "round"}
        strokes = self.plot.multi_line("xs", "ys", source=self.source, **pen)
        tool = FreehandDrawTool(renderers=[strokes])
        self.plot.add_tools(tool)
        self.plot.toolbar.active_drag = tool
        # The tool reports a stroke only if it ends on the canvas.
        self.plot.js_on_event("panend", CustomJS(args={"strokes": self.source}, code=read("stroke_end.js")))

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
