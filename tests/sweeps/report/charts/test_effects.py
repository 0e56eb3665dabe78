from pathlib import Path

import numpy as np
import pytest

from mnist_vae.sweeps.report.charts import effects as module
from mnist_vae.sweeps.report.charts.effects import effects
from tests.sweeps.report.charts.helpers import checked, group
from tests.synthetic import make_run


def test_there_is_a_panel_for_each_setting_and_metric(tmp_path: Path) -> None:
    settings = [{"beta": beta, "model": model} for beta, model in ((1, "mlp"), (1, "conv"), (4, "mlp"))]
    figure = checked(effects(group(tmp_path, *settings)))
    assert figure["layout"]["grid"]["rows"] == 2 and figure["layout"]["grid"]["columns"] == 5
    assert len(figure["data"]) == 2 * 5 * 2  # points and means
    points, means = figure["data"][:2]
    assert (points["x"], points["y"]) == ([1, 1, 4], [-99, -100, -101])
    assert points["text"] == ["beta=1, model=mlp", "beta=1, model=conv", "beta=4, model=mlp"]
    assert (means["x"], means["y"]) == ([1, 4], [-99.5, -101])
    model, of_names = figure["data"][10:12]
    assert model["xaxis"] == "x6" and model["x"] == [0, 1, 0]
    assert figure["layout"]["xaxis6"]["ticktext"] == ["mlp", "conv"]
    assert (of_names["x"], of_names["y"]) == ([0], [-100])  # of the two runs of mlp; one run is its own mean
    assert [note["text"] for note in figure["layout"]["annotations"]][:2] == ["<b>val ELBO</b>", "<b>test ELBO</b>"]


@pytest.mark.parametrize(("betas", "kind"), [((1, 30), "log"), ((1, 3), "linear")])
def test_wide_numbers_have_a_logarithmic_axis(betas: tuple[int, int], kind: str, tmp_path: Path) -> None:
    figure = checked(effects(group(tmp_path, *({"beta": beta} for beta in betas))))
    assert figure["layout"]["xaxis"]["type"] == kind and figure["layout"]["xaxis"]["tickvals"] == [*betas]


@pytest.mark.parametrize("betas", [(0, 1, 2), (1, 10, 1000), (3, 3.5), tuple(range(1, 30))])
def test_no_point_touches_an_axis(betas: tuple[float, ...], tmp_path: Path) -> None:
    figure = checked(effects(group(tmp_path, *({"beta": beta} for beta in betas))))
    for trace in figure["data"]:
        for letter in "xy":
            axis = figure["layout"][f"{letter}axis{trace[f'{letter}axis'][1:]}"]
            low, high = axis["range"]
            values = np.log10(trace[letter]) if axis.get("type") == "log" else trace[letter]
            room = 0.05 * (high - low)
            assert low + room < min(values) and max(values) < high - room


def test_names_that_look_like_dates_or_numbers_stay_names(tmp_path: Path) -> None:
    figure = checked(effects(group(tmp_path, {"seed": 1}, {"seed": 20})))
    axis = figure["layout"]["xaxis"]
    assert (axis["type"], axis["tickvals"], axis["ticktext"]) == ("linear", [0, 1], ["1", "20"])


def test_the_picture_is_drawn_from_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple] = []
    by_setting = module.figures.by_setting
    monkeypatch.setattr(module.figures, "by_setting", lambda *given: drawn.append(given) or by_setting(*given))
    make_run(tmp_path / "diverged", -1e33, beta=9)
    effects(group(tmp_path, {"model": "mlp", "beta": 1}, {"model": "conv", "beta": 2}))
    ((settings, metrics),) = drawn
    assert settings == {"beta": [1, 2], "model": ["mlp", "conv"]} and metrics["test ELBO"] == [-100, -101]


def test_a_run_alone_has_no_effects(tmp_path: Path) -> None:
    assert effects(group(tmp_path, {"seed": 0})) is None
