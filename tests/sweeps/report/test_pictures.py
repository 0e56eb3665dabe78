import base64
import io
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from mnist_vae import figures
from mnist_vae.sweeps.ranking import Group
from mnist_vae.sweeps.report import pictures
from mnist_vae.sweeps.results import read_sweep
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
    # Means over seeds: of beta = 1, KL 10 and 13. By validation: -100 of beta = 4, then -100.5, then -101.
    assert (rate, distortion, key, best) == ([11, 11.5, 12], [90, 90, 90], "beta", 0)
    assert values == [4, 1, 0.5]
    assert named == {"curves": [[2, 1, 0]], "free": [1]}  # by rising beta; the configuration of beta = 1


def test_a_setting_that_is_not_a_number_everywhere_is_text(tmp_path: Path, drawn: list[tuple]) -> None:
    pictures.effects(group(tmp_path, {"model": "mlp", "beta": 1}, {"model": "conv", "beta": 2}))
    ((settings, metrics, _),) = drawn
    assert settings == {"beta": [1, 2], "model": ["mlp", "conv"]} and metrics["test ELBO"] == [-100, -101]


def test_seeds_are_names_that_no_line_joins(tmp_path: Path, drawn: list[tuple]) -> None:
    """And they count as a setting only where nothing else varies."""
    seeds = group(tmp_path / "a", {"seed": 0}, {"seed": 1})
    assert pictures.planes(seeds) == [] and pictures.effects(seeds)
    assert drawn[0][0] == {"seed": ["0", "1"]}
    alone = group(tmp_path / "b", {"seed": 0})
    assert pictures.planes(alone) == [] and pictures.effects(alone) == ""


def test_runs_that_did_not_learn_are_not_drawn(tmp_path: Path, drawn: list[tuple]) -> None:
    make_run(tmp_path / "diverged", -1e33, beta=9)
    found = group(tmp_path, {"beta": 1}, {"beta": 2})
    assert pictures.planes(found) and pictures.effects(found)
    assert drawn[0][2] == drawn[1][0]["beta"] == [1, 2]


def test_without_ranks_nothing_is_ringed(tmp_path: Path, drawn: list[tuple]) -> None:
    for beta in (1, 2):
        make_run(tmp_path / str(beta), -100.0, beta=beta, monitor=None)
    pictures.planes(group(tmp_path))
    assert drawn[0][4] is None
