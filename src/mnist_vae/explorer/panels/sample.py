"""The panel of samples from the prior."""

from functools import partial
from html import escape

import torch
from bokeh.layouts import column, row
from bokeh.models import Div, Slider
from torch import Tensor

from mnist_vae.explorer.controls import WRAP, button, on_change
from mnist_vae.explorer.pictures import Gallery
from mnist_vae.explorer.subject import Subject

ROWS, COLUMNS = 8, 10
TILE = 34  # width of an image, in CSS pixels
MAX_TEMPERATURE = 2.0


class SamplePanel:
    """Samples from the prior of each run, from the same noise; those of a conditional run share a code in each row."""

    title = "Sample"

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.seed = 0
        self.temperature = Slider(
            start=0, end=MAX_TEMPERATURE, step=0.05, value=1, title="temperature", name="temperature"
        )
        on_change(self.temperature, "value", lambda _: self._show())
        self.drawn = [self._draw(i) for i in range(len(subject.runs))]
        layouts = []
        self.galleries = []
        for i, run in enumerate(subject.runs):
            columns = run.vae.classes or COLUMNS
            gallery = Gallery(f"samples{i}", self.drawn[i][1], columns, TILE * columns)
            gallery.on_click(partial(self.choose, i))
            self.galleries.append(gallery)
            layouts += [Div(text=self._heading(i), name="heading"), gallery.picture.plot]
        controls = row(self.temperature, button("other samples", "resample", self.resample), styles=WRAP)
        self.layout = column(controls, *layouts, sizing_mode="stretch_width")

    def _draw(self, index: int) -> tuple[Tensor, Tensor]:
        """Codes (n, latent_dim) and images (n, channels, height, width) of a run's samples."""
        run = self.subject.runs[index]
        generator = torch.Generator().manual_seed(self.seed)
        codes = run.vae.prior.sample(ROWS * COLUMNS, generator, self.temperature.value).cpu()
        if run.vae.classes:
            codes = codes[:ROWS].repeat_interleave(run.vae.classes, dim=0)
        labels = torch.arange(len(codes)) % run.vae.classes if run.vae.classes else None
        with torch.no_grad():
            return codes, run.vae.decode(codes, labels)

    def _show(self) -> None:
        self.drawn = [self._draw(i) for i in range(len(self.subject.runs))]
        for gallery, (_, images) in zip(self.galleries, self.drawn, strict=True):
            gallery.show(images)

    def resample(self) -> None:
        """Draw other samples."""
        self.seed += 1
        self._show()

    def choose(self, index: int, sample: int) -> None:
        """Show the code of a sample of a run, and its label."""
        run, z = self.subject.runs[index], self.drawn[index][0][sample]
        if run.vae.classes:
            self.subject.label = sample % run.vae.classes
        if index == 0:
            self.subject.show_code(z)
        else:
            self.subject.show_codes([*self.subject.codes[:index], z, *self.subject.codes[index + 1 :]])

    def _heading(self, index: int) -> str:
        """What the samples of a run are."""
        run = self.subject.runs[index]
        parts = [escape(run.name)] if len(self.subject.runs) > 1 else []
        parts += ["one code a row, one label a column"] if run.vae.classes else []
        return ": ".join(parts) or "click one to show it"
