import base64
import io
from pathlib import Path

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
    picture = image(pictures.shrunk(job, "results.png", runs))
    assert picture.format == "JPEG" and max(picture.width, picture.height / 2) <= pictures.WIDEST
    assert pictures.shrunk(job, "nothing.png", runs) == ""
    (runs / "mlp" / "figures" / "samples.png").write_text("no picture")
    assert pictures.shrunk(job, "samples.png", runs) == ""
    # A link to somewhere else, which is private.
    assert pictures.shrunk(job, "results.png", runs / "conv") == ""


def test_ghostscript_is_not_started_for_a_strangers_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = make_run(tmp_path / "run", -100.0) / "figures"
    figures.mkdir()
    Image.new("L", (9, 9)).save(figures / "results.png", format="eps")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    (job,) = read_sweep(tmp_path).jobs
    assert pictures.shrunk(job, "results.png", tmp_path) == ""
