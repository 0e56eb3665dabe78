"""The images that a page shows, and what each run makes of them."""

from collections import Counter
from collections.abc import Callable
from html import escape

import numpy as np
from bokeh.layouts import column, row
from bokeh.models import Div, Select

from mnist_vae.explorer.controls import on_change
from mnist_vae.explorer.pictures import Gallery, Picture, to_bytes
from mnist_vae.explorer.subject import Subject
from mnist_vae.utils.text import number

WIDTH = 168  # of a picture, in CSS pixels: six for each pixel of MNIST
WIDTH_OF_THREE = 112  # four; so that the image and two decoded ones stand side by side on a telephone
MARGIN = (4, 0, 4, 0)  # of a caption: above, right, below, left


class Output:
    """The image that is shown, the image that each run decodes, and a table of numbers.

    Attributes:
        layout: what is to be laid out on the page.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        channels, height, width = subject.runs[0].vae.image_shape
        black = np.zeros((height, width, channels), dtype=np.uint8)
        side = WIDTH if len(subject.runs) == 1 else WIDTH_OF_THREE
        self.input = Picture("input", black, side)
        self.decoded = [Picture(f"output{i}", black, side) for i in range(len(subject.runs))]
        captioned = zip([self.input, *self.decoded], ["image", *self._captions()], strict=True)
        columns = [column(p.plot, Div(text=text, width=side, margin=MARGIN)) for p, text in captioned]
        self.input_column = columns[0]
        self.numbers = Div(name="numbers", sizing_mode="stretch_width")
        pixels, _ = subject.runs[0].neighbours(subject.codes[0])
        self.neighbours = Gallery("neighbours", pixels, len(pixels), min(56 * len(pixels), 280))
        self.nearest = column(Div(text="nearest training images"), self.neighbours.picture.plot)
        self.label = self._label_select()
        pictures = row(*columns, styles={"flex-wrap": "wrap", "gap": "4px"})
        self.layout = column(pictures, self.label, self.numbers, self.nearest, sizing_mode="stretch_width")

    def update(self) -> None:
        """Show what the subject is now."""
        subject = self.subject
        for picture, image in zip(self.decoded, subject.images(), strict=True):
            picture.show(to_bytes(image))
        self.input_column.visible = self.nearest.visible = subject.x is not None
        self.label.value = str(subject.label)
        if subject.x is None:
            self.numbers.text = self._code_numbers()
            return
        self.input.show(to_bytes(subject.x))
        pixels, labels = subject.runs[0].neighbours(subject.codes[0])
        self.neighbours.show(pixels)
        self.numbers.text = self.image_numbers() + self._classes(labels)

    def _captions(self) -> list[str]:
        if len(self.subject.runs) == 1:
            return ["decoded"]
        notes = ["" if self.subject.shares_codes(run) else ", by its own code" for run in self.subject.runs]
        return [f"{escape(run.name)}{note}" for run, note in zip(self.subject.runs, notes, strict=True)]

    def _label_select(self) -> Select:
        run = next((run for run in self.subject.runs if run.vae.classes), None)
        options = [(str(label), run.class_name(label)) for label in range(run.vae.classes)] if run else []
        return Select(title="label", value="0", options=options, width=110, visible=run is not None, name="label")

    def on_label(self, callback: Callable[[int], None]) -> None:
        """Call a function with a label that was chosen."""

        def chosen(value: str) -> None:
            if int(value) != self.subject.label:  # the page's own changes are reported too
                callback(int(value))

        on_change(self.label, "value", chosen)

    def image_numbers(self) -> str:
        """The ELBO of the image and its terms, for each run."""
        rows = []
        for run, (_, _, nats) in zip(self.subject.runs, self.subject.inspections, strict=True):
            reconstruction, kl = nats[0].tolist()
            rows.append((run.name, -(reconstruction + kl), reconstruction, kl))
        return _table(("nats", "ELBO", "reconstruction", "KL"), rows)

    def _code_numbers(self) -> str:
        pairs = zip(self.subject.runs, self.subject.codes, strict=True)
        return _table(("nats", "log p(z)"), [(run.name, float(run.vae.prior.log_prob(z[None])[0])) for run, z in pairs])

    def _classes(self, labels: list[int]) -> str:
        """The class by the neighbours' labels, and the guess of each conditional run."""
        first = self.subject.runs[0]
        label, votes = Counter(labels).most_common(1)[0]
        lines = [f"class by nearest neighbours: {first.class_name(label)} ({votes} of {len(labels)})"]
        for run in self.subject.runs:
            guess = None if self.subject.x is None else run.most_likely_label(self.subject.x)
            if guess is not None:
                of_run = f" of {run.name}" if len(self.subject.runs) > 1 else ""
                lines.append(f"label of the largest ELBO{of_run}: {run.class_name(guess)}")
        return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _table(heads: tuple[str, ...], rows: list[tuple]) -> str:
    """An HTML table of names and numbers in nats."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td>{number(value)}</td>' for value in values)}</tr>"
        for name, *values in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
