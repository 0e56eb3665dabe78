"""The explorer's page: its parts, laid out by a template."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models import TabPanel, Tabs
from bokeh.themes import Theme
from jinja2 import Environment
from torch import Tensor

from mnist_vae.explorer.controls import on_change
from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.latent_map import LatentMap
from mnist_vae.explorer.output import Output
from mnist_vae.explorer.panels.code import CodePanel
from mnist_vae.explorer.panels.draw import DrawPanel
from mnist_vae.explorer.panels.interpolate import InterpolationPanel
from mnist_vae.explorer.panels.sample import SamplePanel
from mnist_vae.explorer.subject import Subject
from mnist_vae.explorer.templates import SCRIPTS, read


class Page:
    """The page of a browser's tab.

    Args:
        document: the document to fill.
        runs: the run that is explored, and others to compare it with, of the same image shape.
    """

    def __init__(self, document: Document, runs: Sequence[ExploredRun]) -> None:
        self.document = document
        self.subject = Subject(runs)
        self.map = LatentMap(runs[0])
        self.output = Output(self.subject)
        self.code = CodePanel(self.subject)
        self.draw = DrawPanel(self.subject)
        self.interpolation = InterpolationPanel(self.subject)
        self.sample = SamplePanel(self.subject)
        self.subject.changed.append(self._update)
        self.output.on_label(self.subject.show_label)
        self.map.on_move(self._moved)
        for select in (self.map.across, self.map.up):
            on_change(select, "value", lambda _: self._set_plane())
        self.code.number.value = 0
        self._lay_out()

    def _lay_out(self) -> None:
        panels = (self.code, self.draw, self.interpolation, self.sample)
        tabs = Tabs(tabs=[TabPanel(child=panel.layout, title=panel.title) for panel in panels], name="tabs")
        tabs.sizing_mode = "stretch_width"
        plane = column(row(self.map.across, self.map.up), self.map.plot, sizing_mode="stretch_width", name="plane")
        self.output.layout.name = "output"
        for root in (plane, self.output.layout, tabs):
            self.document.add_root(root)
        style(self.document, self.subject.runs[0].title)

    def _moved(self, position: Tensor) -> None:
        self.subject.show_code(self.map.plane.moved(self.subject.codes[0], position))

    def _set_plane(self) -> None:
        with held(self.document):
            self.map.set_plane()
            self.map.mark(self.subject.codes[0], self.subject.line)

    def _update(self) -> None:
        with held(self.document):
            self.output.update()
            self.map.mark(self.subject.codes[0], self.subject.line)
            self.code.update()
            self.interpolation.update()


def style(document: Document, heading: str, more_scripts: Sequence[str] = ()) -> None:
    """Give a document the explorer's template, scripts and colours."""
    scripts = [read(name) for name in (*SCRIPTS, *more_scripts)]
    document.title = heading
    document.template = Environment(autoescape=True).from_string(read("explorer.html"))
    document.template_variables.update({"page_css": read("explorer.css"), "heading": heading, "scripts": scripts})
    widgets = read("widgets.css")
    legend = {"background_fill_alpha": 0, "label_text_color": "#7d8590"}  # seen on white and on black
    clear = {"background_fill_color": None, "border_fill_color": None}
    attributes = {
        "UIElement": {"stylesheets": [widgets]},
        "Plot": clear,
        "Legend": legend,
        "Axis": {"axis_label_text_font_size": "13px", "major_label_text_font_size": "12px"},
        "Div": {"disable_math": True},  # a run's folder may be named $$
    }
    document.theme = Theme(json={"attrs": attributes})


@contextmanager
def held(document: Document) -> Iterator[None]:
    """Send the changes made within to the browser in one message."""
    document.hold("combine")
    try:
        yield
    finally:
        document.unhold()
