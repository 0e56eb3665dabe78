import base64
import io
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from mnist_vae import figures
from mnist_vae.sweeps.report import pictures
from mnist_vae.sweeps.results import Group, read_sweep
from tests.synthetic import make_run


def image(address: str) -> Image.Image:
    """The picture in a data URI."""
    kind, _, content = address.partition(";base64,")
    opened = Image.open(io.BytesIO(base64.b64decode(content)))
    assert kind == f"data:image/{str(opened.format).lower()}"
    return opened


def group(folder: Path, *settings: dict[str, float]) -> Group:
    """Complete runs with these settings, the first one the best."""
    for place, values in enumerate(settings):
        make_run(folder / str(place), -100.0 - place, kl=10.0 + place, **values)
    (found,) = read_sweep(folder).groups
    return found


def test_a_figure_is_embedded_at_the_reports_resolution() -> None:
    assert image(pictures.embedded(Figure((2, 1)))).size == (2 * pictures.SHARPNESS, pictures.SHARPNESS)


def test_a_runs_picture_is_made_smaller_and_a_damaged_one_is_left_out(runs: Path) -> None:
    (job,) = read_sweep(runs / "mlp").jobs
    picture = image(pictures.shrunk(job, "results.png"))
    assert picture.format == "JPEG" and max(picture.width, picture.height / 2) <= pictures.WIDEST
    assert pictures.shrunk(job, "nothing.png") == ""
    (runs / "mlp" / "figures" / "results.png").write_text("no picture")
    assert pictures.shrunk(job, "results.png") == ""


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """The arguments with which figures are drawn."""
    calls: list[tuple] = []
    for name in ("rate_distortion", "by_setting"):
        monkeypatch.setattr(figures, name, lambda *values, **named: calls.append((*values, named)) or Figure((1, 1)))
    return calls


def test_the_plane_is_drawn_for_each_setting_that_varies(tmp_path: Path, drawn: list[tuple]) -> None:
    settings = [{"beta": beta, "seed": seed} for beta, seed in ((1, 0), (4, 0), (0.5, 0), (1, 1))]
    assert [key for key, _ in pictures.planes(group(tmp_path, *settings))] == ["beta"]  # not the seed
    ((rate, distortion, values, key, best, named),) = drawn
    assert (rate, distortion, key, best) == ([10, 11, 12, 13], [90, 90, 90, 90], "beta", 0)
    assert values == [1, 4, 0.5, 1]
    assert named == {"curves": [[2, 0, 1]], "free": [0, 3]}  # one seed, by rising beta; the runs of beta = 1


def test_a_setting_that_is_not_a_number_everywhere_is_text(tmp_path: Path, drawn: list[tuple]) -> None:
    pictures.effects(group(tmp_path, {"model": "mlp", "beta": 1}, {"model": "conv", "beta": 2}))
    ((settings, metrics, _),) = drawn
    assert settings == {"beta": [1, 2], "model": ["mlp", "conv"]} and metrics["test ELBO"] == [-100, -101]


def test_the_seed_counts_as_a_setting_only_where_nothing_else_varies(tmp_path: Path, drawn: list[tuple]) -> None:
    assert [key for key, _ in pictures.planes(group(tmp_path / "a", {"seed": 0}, {"seed": 1}))] == ["seed"]
    assert drawn[0][-1] == {"curves": [], "free": []}
    alone = group(tmp_path / "b", {"seed": 0})
    assert [key for key, _ in pictures.planes(alone)] == [""] and pictures.effects(alone) == ""
