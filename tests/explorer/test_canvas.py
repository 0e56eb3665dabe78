import torch

from mnist_vae.explorer.canvas import Canvas


def test_strokes_become_segments_with_y_downwards() -> None:
    canvas = Canvas()
    assert canvas.segments() is None
    canvas.source.data = {"xs": [[0.0, 0.5, 1.0], [0.2]], "ys": [[1.0, 1.0, 0.0], [0.75]]}
    segments = canvas.segments()
    assert segments is not None
    expected = [[0.0, 0.0, 0.5, 0.0], [0.5, 0.0, 1.0, 1.0], [0.2, 0.25, 0.2, 0.25]]
    assert torch.allclose(segments, torch.tensor(expected))


def test_a_cleared_canvas_has_none() -> None:
    canvas = Canvas()
    canvas.source.data = {"xs": [[0.0, 0.5]], "ys": [[1.0, 1.0]]}
    canvas.clear()
    assert canvas.segments() is None


def test_empty_strokes_are_none() -> None:
    canvas = Canvas()
    canvas.source.data = {"xs": [[]], "ys": [[]]}
    assert canvas.segments() is None
