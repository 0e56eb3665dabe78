"""The panel of an interpolation: the straight line between two codes."""

from functools import partial

import torch
from bokeh.layouts import column, row
from bokeh.models import Slider
from torch import Tensor

from mnist_vae.explorer.controls import WRAP, button, on_change
from mnist_vae.explorer.pictures import Gallery
from mnist_vae.explorer.subject import Subject

STEPS = 9
TILE = 36  # width of an image of the strip, in CSS pixels


class InterpolationPanel:
    """The line between two codes of each run, with a slider along it.

    Attributes:
        ends: of each end, a code of each run.
    """

    title = "Interpolate"

    def __init__(self, subject: Subject) -> None:
        self.subject, self.label = subject, subject.label
        self.generator = torch.Generator()
        self.generator.seed()
        self.ends = [subject.codes_of_test_image(index) for index in (0, 1)]
        self.slider = Slider(start=0, end=1, step=0.01, value=0, title="from start to end", name="fraction")
        self.slider.sizing_mode = "stretch_width"
        on_change(self.slider, "value", lambda _: self._walk())
        self.strips = [Gallery(f"strip{i}", strip, STEPS, TILE * STEPS) for i, strip in enumerate(self._images())]
        chosen = [("start at the code shown", "from"), ("end at the code shown", "to")]
        buttons = [button(label, name, partial(self.set_end, i)) for i, (label, name) in enumerate(chosen)]
        buttons.append(button("two random test images", "random_pair", self.set_random_ends))
        for strip in self.strips:
            strip.on_click(lambda index: self.slider.update(value=index / (STEPS - 1)))
        plots = [strip.picture.plot for strip in self.strips]
        self.layout = column(row(*buttons, styles=WRAP), self.slider, *plots, sizing_mode="stretch_width")

    def update(self) -> None:
        """Decode the line with the label that is given now."""
        if self.label != self.subject.label:
            self._show_strips()

    def set_end(self, end: int) -> None:
        """Make the codes shown the start, 0, or the end, 1."""
        self.ends[end] = self.subject.codes
        self._begin(end)

    def set_random_ends(self) -> None:
        """Make the codes of two test images the ends."""
        pair = torch.randperm(len(self.subject.runs[0].images), generator=self.generator)[:2].tolist()
        self.ends = [self.subject.codes_of_test_image(index) for index in pair]
        self._begin(0)

    def _begin(self, position: float) -> None:
        """Show the line, and its code at a position from 0 to 1."""
        self._show_strips()
        if self.slider.value == position:
            self._walk()
        else:
            self.slider.value = position

    def _show_strips(self) -> None:
        self.label = self.subject.label
        for strip, images in zip(self.strips, self._images(), strict=True):
            strip.show(images)

    def _images(self) -> list[Tensor]:
        """For each run, the decoded line, (STEPS, channels, height, width)."""
        fraction = torch.linspace(0, 1, STEPS)[:, None]
        lines = [torch.lerp(first, last, fraction) for first, last in zip(*self.ends, strict=True)]
        pairs = zip(self.subject.runs, lines, strict=True)
        return [run.decode(line, self.subject.label) for run, line in pairs]

    def _walk(self) -> None:
        first, last = self.ends
        codes = [torch.lerp(a, b, self.slider.value) for a, b in zip(first, last, strict=True)]
        self.subject.show_codes(codes, torch.stack([first[0], last[0]]))
