"""The panel of a drawing or of an uploaded picture."""

import base64
from collections.abc import Callable
from functools import partial

from bokeh.layouts import column, row
from bokeh.models import Div, FileInput
from torch import Tensor

from mnist_vae.data.drawing import PictureError, frame_picture, render_strokes
from mnist_vae.explorer.canvas import NOTE, Canvas
from mnist_vae.explorer.controls import WRAP, button, on_change
from mnist_vae.explorer.subject import Subject


class DrawPanel:
    """Draw an image, or upload one."""

    title = "Draw"

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.canvas = Canvas()
        on_change(self.canvas.source, "data", lambda _: self.show_strokes())
        self.message = Div(name="message")
        self.file = FileInput(accept="image/*", name="upload", width=260)
        on_change(self.file, "value", self._uploaded)
        note = Div(text=NOTE)
        controls = row(button("clear", "clear", self.clear), self.file, styles=WRAP)
        self.layout = column(note, self.canvas.plot, controls, self.message, sizing_mode="stretch_width")

    def show_strokes(self) -> None:
        """Show what is drawn on the canvas, if anything is."""
        segments = self.canvas.segments()
        if segments is not None:
            self._show(partial(render_strokes, segments))

    def show_picture(self, content: bytes) -> None:
        """Show the picture of a file; say what is wrong with it if it cannot be read."""
        self._show(partial(frame_picture, content))

    def clear(self) -> None:
        """Take the drawing away, and show its code alone."""
        self.canvas.clear()
        self.subject.show_codes(self.subject.codes)

    def _uploaded(self, value: str) -> None:
        if value:  # empty if the chooser was cancelled
            self.canvas.clear()
            self.show_picture(base64.b64decode(value))
            self.file.clear()  # or the same file could not be chosen again

    def _show(self, draw: Callable[[tuple[int, int]], Tensor]) -> None:
        channels, height, width = self.subject.runs[0].vae.image_shape
        try:
            x = draw((height, width)).expand(channels, -1, -1)
        except PictureError as error:
            self.message.text = str(error)
            return
        self.message.text = ""
        self.subject.show_image(x)
