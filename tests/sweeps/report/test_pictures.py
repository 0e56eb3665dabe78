import base64
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mnist_vae.sweeps.report import pictures
from mnist_vae.sweeps.results import read_sweep
from tests.synthetic import make_run


def image(address: str) -> Image.Image:
    """The picture in a data URI."""
    kind, _, content = address.partition(";base64,")
    opened = Image.open(io.BytesIO(base64.b64decode(content)))
    assert kind == f"data:image/{str(opened.format).lower()}"
    return opened


def test_a_figure_is_embedded_at_the_reports_resolution() -> None:
    picture = pictures.embedded(Figure((2, 1)))
    assert image(picture.address).size == (2 * pictures.SHARPNESS, pictures.SHARPNESS)
    assert picture.width == 192  # so that a point is a point


def test_a_runs_picture_is_made_smaller_and_a_damaged_one_is_left_out(runs: Path) -> None:
    (job,) = read_sweep(runs / "mlp").jobs
    shades = pictures.shrunk(job, "results.png", runs)
    assert shades is not None
    for picture in map(image, shades):
        assert picture.format == "JPEG" and max(picture.width, picture.height / 2) <= pictures.WIDEST
    assert pictures.shrunk(job, "nothing.png", runs) is None
    (runs / "mlp" / "figures" / "samples.png").write_text("no picture")
    assert pictures.shrunk(job, "samples.png", runs) is None
    # A link to somewhere else, which is private.
    assert pictures.shrunk(job, "results.png", runs / "conv") is None


def test_only_what_is_around_the_images_becomes_dark() -> None:
    pixels = np.full((100, 200, 3), 255, np.uint8)
    pixels[5:9, 10:40:3] = pixels[30:34, 5:30:3] = 0  # text above and beside the images
    ground = pixels[:, :, 0] == 255
    for top in (20, 60):
        for left in (40, 80, 120, 160):
            pixels[top : top + 36, left : left + 36] = 0
            pixels[top + 10 : top + 30, left + 5 : left + 30] = 255  # what the image shows
            pixels[top - 1, left : left + 36] = 200  # pixels that are partly the image's
            ground[top : top + 36, left : left + 36] = False
    dark = np.asarray(pictures.darkened(Image.fromarray(pixels)))
    for top in (20, 60):
        for left in (40, 80, 120, 160):
            tile = slice(top, top + 36), slice(left, left + 36)
            assert np.array_equal(dark[tile], pixels[tile])
    assert dark[ground].max() < 100 and min(dark[5:9, 10:40:3].min(), dark[30:34, 5:30:3].min()) > 200


def test_a_runs_picture_is_mostly_dark_on_a_dark_page(runs: Path) -> None:
    (job,) = read_sweep(runs / "mlp").jobs
    for name in ("results.png", "samples.png"):
        shades = pictures.shrunk(job, name, runs)
        assert shades is not None
        light, dark = (np.asarray(image(shade).convert("L")) for shade in shades)
        assert light[0].mean() > 240 and dark[0].mean() < 40 and dark[:, 0].mean() < 40 and dark[-1].mean() < 40


def test_ghostscript_is_not_started_for_a_strangers_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = make_run(tmp_path / "run", -100.0) / "figures"
    figures.mkdir()
    Image.new("L", (9, 9)).save(figures / "results.png", format="eps")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    (job,) = read_sweep(tmp_path).jobs
    assert pictures.shrunk(job, "results.png", tmp_path) is None
