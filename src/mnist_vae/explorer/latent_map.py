"""The latent map: codes of test images on a plane, the prior's density, and the code that is shown."""

from collections.abc import Callable

import torch
from bokeh.models import ColumnDataSource, HoverTool, LinearColorMapper, Select
from bokeh.plotting import figure
from torch import Tensor

from mnist_vae.analysis.plane import Axis, Plane, density, dimension, principal_components
from mnist_vae.explorer.controls import NO_SCROLLING, on_change
from mnist_vae.explorer.explored_run import SHOWN, ExploredRun
from mnist_vae.explorer.templates import callback
from mnist_vae.figures.colours import class_colours

GRID = 80  # cells of the density, a side
MARGIN = 0.05  # around the points, as a share of their range
HEIGHT = 460  # CSS pixels
EVENTS = ("tap", "doubletap", "panstart", "pan", "panend", "press", "pressup", "mousemove")
MARK = "#e6007e"
# From transparent to a grey that is seen on white and on black.
SHADES = [f"#7f8fa6{level:02x}" for level in range(0, 160, 4)]
TOOLTIP = """<div style="text-align:center"><img src="@picture" width="56" height="56"
  style="image-rendering:pixelated"><div>@class, test image @number</div></div>"""


class LatentMap:
    """Codes of test images on a plane through the latent space of a run.

    Attributes:
        plane: the plane.
        across, up: selections of its axes.
        pointer: source of the position that is clicked or dragged to.
        marker, line: sources of the position of the code that is shown, and of a line.
    """

    def __init__(self, run: ExploredRun) -> None:
        self.run = run
        self.axes = _axes(run)
        self.marker = ColumnDataSource({"x": [0.0], "y": [0.0]}, name="marker")
        self.pointer = ColumnDataSource({"x": [], "y": []}, name="pointer")
        self.line = ColumnDataSource({"x": [], "y": []}, name="line")
        self.points = {label: _points(run, label) for label in sorted(set(run.labels[:SHOWN].tolist()))}
        names = [name for name in self.axes if name]
        self.across = Select(title="across", value=names[0], options=names, width=150)
        self.up = Select(title="up", value=[*names, ""][1], options=names, width=150, visible=len(names) > 1)
        self.density = ColumnDataSource(name="density")
        self.plot = self._plot()
        follow = callback("pointer", pointer=self.pointer, marker=self.marker)
        for event in EVENTS:
            self.plot.js_on_event(event, follow)
        self.marker.js_on_change("data", follow)
        self.set_plane()

    def set_plane(self) -> None:
        """Show the plane that the selections name."""
        self.plane = Plane.of(self.axes[self.across.value], self.axes[self.up.value])
        self.plot.xaxis.axis_label, self.plot.yaxis.axis_label = self.across.value, self.up.value
        positions = self._positions(self.run.posterior.mean[:SHOWN])
        for label, source in self.points.items():
            x, y = positions[self.run.labels[:SHOWN] == label].numpy().T
            source.data["x"], source.data["y"] = x, y
        self._set_ranges(positions, self._positions(self.run.prior_codes))

    def mark(self, z: Tensor, line: Tensor | None = None) -> None:
        """Mark the position of a code (latent_dim,), and that of a line from one code to another, (2, latent_dim)."""
        x, y = self.plane.project(z).tolist()
        self.marker.data = {"x": [x], "y": [y]}
        ends = [[], []] if line is None else self.plane.project(line).T.tolist()
        self.line.data = {"x": ends[0], "y": ends[1]}

    def on_move(self, callback: Callable[[Tensor], None]) -> None:
        """Call a function with the position (2,) where the map is clicked, and wherever the pointer is dragged."""
        on_change(self.pointer, "data", lambda data: callback(torch.tensor([*data["x"], *data["y"]])))

    def _positions(self, codes: Tensor) -> Tensor:
        """Positions (n, 2) of codes; those of a single latent dimension are spread across its line."""
        positions = self.plane.project(codes)
        if self.run.vae.latent_dim == 1:
            positions[:, 1] = torch.rand(len(codes), generator=torch.Generator().manual_seed(0)) - 0.5
        return positions

    def _set_ranges(self, positions: Tensor, prior: Tensor) -> None:
        """Show the range of the positions (n, 2) of images and of samples of the prior, and the prior's density."""
        both = torch.cat([positions, prior])
        low, high = torch.quantile(both, 0.001, dim=0), torch.quantile(both, 0.999, dim=0)
        margin = (high - low).clamp(min=1e-3) * MARGIN
        low, high = low - margin, high + margin
        for axis, shown in enumerate((self.plot.x_range, self.plot.y_range)):
            shown.update(start=float(low[axis]), end=float(high[axis]))
        x, y = (torch.linspace(float(low[axis]), float(high[axis]), GRID) for axis in range(2))
        shade = density(prior, x, y)
        numbers = [*low.tolist(), *(high - low).tolist()]
        # By the square root: a learned prior may have a peak beside which all else would be invisible.
        relative = (shade / shade.max().clamp(min=1e-30)).sqrt()  # 0 where codes lie far apart
        self.density.data = {
            "image": [relative.numpy()],
            **{name: [number] for name, number in zip(("x", "y", "width", "height"), numbers, strict=True)},
        }

    def _plot(self) -> figure:
        plot = figure(
            height=HEIGHT,
            sizing_mode="stretch_width",
            x_range=(0, 1),
            y_range=(0, 1),
            tools="wheel_zoom,reset",
            toolbar_location="above",
            name="map",
            styles=NO_SCROLLING,
        )
        plot.toolbar.logo = None
        mapper = LinearColorMapper(palette=SHADES, low=0, high=1)
        plot.image("image", "x", "y", "width", "height", source=self.density, color_mapper=mapper)
        colours = class_colours(max(self.points) + 1)
        style = {"size": 5, "alpha": 0.65, "line_width": 0}
        dots = [
            plot.scatter("x", "y", source=s, color=colours[label], legend_label=self.run.class_name(label), **style)
            for label, s in self.points.items()
        ]
        plot.add_tools(HoverTool(renderers=dots, tooltips=TOOLTIP, limit=1))
        plot.line("x", "y", source=self.line, line_width=2, color=MARK)
        plot.scatter("x", "y", source=self.marker, size=20, line_width=3, fill_alpha=0, line_color=MARK)
        legend = plot.legend[0]
        legend.update(orientation="horizontal", ncols=5, location="center", margin=0, border_line_color=None)
        legend.click_policy = "hide"
        plot.add_layout(legend, "below")
        return plot


def _axes(run: ExploredRun) -> dict[str, Axis]:
    """The axes to choose from by their names; of a single latent dimension the second is a point."""
    size = run.vae.latent_dim
    axes = {f"z{j + 1}": dimension(j, size) for j in run.dimensions}
    if size == 2:
        return dict(sorted(axes.items()))
    if size == 1:
        return axes | {"": Axis(torch.zeros(1), torch.zeros(()))}
    components = principal_components(run.posterior.mean, 2)
    return {f"component {i + 1}": axis for i, axis in enumerate(components)} | axes


def _points(run: ExploredRun, label: int) -> ColumnDataSource:
    """What the map says of the test images with a label."""
    indices = (run.labels[:SHOWN] == label).nonzero()[:, 0].tolist()
    pictures = [run.pictures[index] for index in indices]
    name = run.class_name(label)
    return ColumnDataSource({"picture": pictures, "class": [name] * len(indices), "number": indices})
