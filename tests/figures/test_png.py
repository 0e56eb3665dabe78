import io
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mnist_vae.figures.png import png, read_png, write_figure


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_pixels_are_encoded_without_loss(channels: int, mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    with Image.open(io.BytesIO(png(pixels))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", mode, (7, 5))
        assert np.array_equal(np.asarray(image).reshape(5, 7, channels), pixels)


def test_a_figure_replaces_the_earlier_file_in_its_own_size(tmp_path: Path) -> None:
    path = tmp_path / "new" / "figure.png"
    for width in (2, 3):
        write_figure(path, Figure(figsize=(width, 1), dpi=50))
        with Image.open(path) as image:
            assert image.size == (50 * width, 50)
    assert [file.name for file in path.parent.iterdir()] == ["figure.png"]


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n%%EOF\n"


def test_only_png_files_are_read_whatever_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (4, 3), 7).save(tmp_path / "a.png")
    assert np.asarray(read_png(tmp_path / "a.png")).tolist() == [[7] * 4] * 3
    Image.new("L", (4, 3)).save(tmp_path / "gif.png", format="gif")
    (tmp_path / "eps.png").write_bytes(EPS)
    with Image.open(tmp_path / "eps.png") as image:
        assert image.format == "EPS"  # Pillow alone would take it for one, and start Ghostscript
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    for name in ("gif.png", "eps.png"):
        with pytest.raises(OSError, match="cannot identify image file"):
            read_png(tmp_path / name)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="no regular file"):
        read_png(tmp_path / "pipe.png")


@pytest.mark.parametrize(
    ("ours", "pillows", "error"),
    [
        (11, 100, ValueError),
        (100, 11, Image.DecompressionBombWarning),  # it would only warn up to twice its limit
        (100, 5, Image.DecompressionBombError),
    ],
)
def test_a_picture_of_too_many_pixels_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: int, pillows: int, error: type[Exception]
) -> None:
    Image.new("L", (4, 3)).save(tmp_path / "a.png")
    monkeypatch.setattr("mnist_vae.figures.png.MOST_PIXELS", ours)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows)
    with pytest.raises(error):
        read_png(tmp_path / "a.png")
