"""The panel of a code: sliders, the prior's mean, a random code, or that of a test image."""

import torch
from bokeh.layouts import column, row
from bokeh.models import Spinner

from mnist_vae.explorer.controls import WRAP, button, on_change
from mnist_vae.explorer.sliders import Sliders
from mnist_vae.explorer.subject import Subject


class CodePanel:
    """Choose a code: sliders, the prior's mean, a random code, or that of a test image."""

    title = "Code"

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        run = subject.runs[0]
        self.generator = torch.Generator()
        self.generator.seed()
        self.sliders = Sliders(run)
        self.sliders.on_change(self._moved)
        self.number = Spinner(title="test image", mode="int", low=0, high=len(run.images) - 1, value=None, width=110)
        on_change(self.number, "value", self._number_chosen)
        buttons = [
            button("prior mean", "prior_mean", lambda: subject.show_code(run.prior_mean)),
            button("random code", "random_code", self.show_random_code),
            button("random test image", "random_image", self.show_random_image),
        ]
        self.layout = column(
            row(*buttons, self.number, styles=WRAP),
            self.sliders.layout,
            sizing_mode="stretch_width",
        )

    def update(self) -> None:
        """Move the sliders to the subject's code; leave the field empty unless that test image is shown."""
        self.sliders.set(self.subject.codes[0])
        run, number = self.subject.runs[0], self.number.value
        if number is not None and (self.subject.x is None or not torch.equal(self.subject.x, run.pixels(number))):
            self.number.value = None

    def show_test_image(self, index: int) -> None:
        """Show a test image."""
        run = self.subject.runs[0]
        self.subject.show_image(run.pixels(index), int(run.labels[index]))

    def _number_chosen(self, number: int | None) -> None:
        if number is not None:  # the field can be empty
            self.show_test_image(number)

    def show_random_image(self) -> None:
        """Show a test image chosen at random."""
        self.number.value = int(torch.randint(len(self.subject.runs[0].images), (), generator=self.generator))

    def show_random_code(self) -> None:
        """Show a sample of the prior."""
        self.subject.show_code(self.subject.runs[0].vae.prior.sample(1, self.generator)[0].cpu())

    def _moved(self, dimension: int, value: float) -> None:
        z = self.subject.codes[0].clone()
        z[dimension] = value
        self.subject.show_code(z)
