import io

import pytest
import torch
from PIL import Image, ImageDraw

from mnist_vae.data.drawing import render_strokes
from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.panels.draw import DrawPanel
from mnist_vae.explorer.subject import Subject

Explored = dict[str, ExploredRun]


@pytest.fixture
def panel(explored: Explored) -> DrawPanel:
    return DrawPanel(Subject([explored["conditional"]]))


def test_a_stroke_becomes_the_image(panel: DrawPanel) -> None:
    panel.canvas.source.data = {"xs": [[0.3, 0.7, 0.4]], "ys": [[0.8, 0.8, 0.1]]}
    segments = panel.canvas.segments()
    assert segments is not None and panel.subject.x is not None
    assert torch.equal(panel.subject.x[0], render_strokes(segments, (28, 28)))
    assert panel.subject.label == panel.subject.runs[0].most_likely_label(panel.subject.x)


def test_clearing_leaves_the_code_alone(panel: DrawPanel) -> None:
    panel.canvas.source.data = {"xs": [[0.3, 0.7]], "ys": [[0.8, 0.8]]}
    before = panel.subject.codes[0]
    panel.clear()
    assert panel.canvas.segments() is None
    assert panel.subject.x is None and torch.equal(panel.subject.codes[0], before)


def test_a_picture_can_be_uploaded(panel: DrawPanel) -> None:
    image, content = Image.new("L", (90, 90), 255), io.BytesIO()
    ImageDraw.Draw(image).line([(20, 20), (70, 20), (40, 80)], width=8)
    image.save(content, format="PNG")
    panel.show_picture(content.getvalue())
    assert panel.subject.x is not None and panel.subject.x.shape == (1, 28, 28) and not panel.message.text


def test_a_file_that_is_no_picture_is_refused_in_a_sentence(panel: DrawPanel) -> None:
    panel.show_picture(b"no picture")
    assert panel.message.text.startswith("the picture cannot be read: it is none of PNG") and panel.subject.x is None
