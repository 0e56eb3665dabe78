"""The panel of an interpolation: the straight line between two codes."""

from collections.abc import Callable
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

    Args:
        subject: what the page shows.
        mark: marks a line on the map, see LatentMap.mark.
    """

    title = "Interpolate"

    def __init__(self, subject: Subject, mark: Callable[[Tensor, Tensor], None]) -> None:
        self.subject, self.mark = subject, mark
        self.ends = [subject.codes_of_test_image(index) for index in (0, 1)]
        self.slider = Slider(start=0, end=1, step=0.01, value=0, title="from 0 to 1", name="fraction")
        self.slider.sizing_mode = "stretch_width"
        on_change(self.slider, "value", lambda _: self._walk())
        self.strips = [Gallery(f"strip{i}", strip, STEPS, TILE * STEPS) for i, strip in enumerate(self._images())]
        chosen = [("0: the code shown", "from"), ("1: the code shown", "to")]
        buttons = [button(label, name, partial(self.set_end, i)) for i, (label, name) in enumerate(chosen)]
        buttons.append(button("two random test images", "random_pair", self.set_random_ends))
        for strip in self.strips:
            strip.on_click(lambda index: self.slider.update(value=index / (STEPS - 1)))
        plots = [strip.picture.plot for strip in self.strips]
        self.layout = column(row(*buttons, styles=WRAP), self.slider, *plots, sizing_mode="stretch_width")

    def set_end(self, end: int) -> None:
        """Make the codes shown the first end, 0, or the last, 1."""
        self.ends[end] = self.subject.codes
        self._show_strips()

    def set_random_ends(self) -> None:
        """Make the codes of two test images the ends."""
        pair = torch.randint(len(self.subject.runs[0].images), (2,)).tolist()
        self.ends = [self.subject.codes_of_test_image(index) for index in pair]
        self._show_strips()
        self._walk()

    def _show_strips(self) -> None:
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
        self.subject.show_codes([torch.lerp(a, b, self.slider.value) for a, b in zip(first, last, strict=True)])
        self.mark(self.subject.codes[0], torch.stack([first[0], last[0]]))
