"""Figures of many runs, against what can be computed by hand."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from mnist_vae.figures import by_setting, pixels, rate_distortion
from mnist_vae.figures.sweeps import is_wide, means, running_means

RATE = [5.0, 10.0, 20.0, 15.0]
DISTORTION = [100.0, 90.0, 85.0, 88.0]


def parts(figure: Figure, gid: str) -> list[Any]:
    return [line for axis in figure.axes for line in axis.lines if line.get_gid() == gid]


def points(figure: Figure) -> np.ndarray:
    """All points of the first axes, sorted."""
    return np.array(sorted(tuple(xy) for drawn in figure.axes[0].collections for xy in drawn.get_offsets().tolist()))


def test_the_elbo_is_the_same_along_each_line_and_is_what_its_label_says() -> None:
    figure = rate_distortion(RATE, DISTORTION)
    lines = parts(figure, "iso-elbo")
    sums = [line.get_xdata() + line.get_ydata() for line in lines]
    assert len(lines) >= 3
    for both_ends in sums:
        assert both_ends[0] == pytest.approx(both_ends[1], abs=1e-9)
    labels = figure.axes[0].texts
    assert labels
    for label in labels:
        told = float(label.get_text().removeprefix("ELBO ").replace("\N{MINUS SIGN}", "-"))
        assert told == pytest.approx(-sum(label.xy))
        assert any(told == pytest.approx(-line[0]) for line in sums)


def test_lines_stay_within_the_axes_and_every_run_is_a_point() -> None:
    figure = rate_distortion(RATE, DISTORTION, [1, 1, 4, 4], "beta", best=1)
    axis = figure.axes[0]
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    for line in parts(figure, "iso-elbo"):
        assert left - 1e-9 <= min(line.get_xdata()) and max(line.get_xdata()) <= right + 1e-9
        assert bottom - 1e-9 <= min(line.get_ydata()) and max(line.get_ydata()) <= top + 1e-9
    assert np.allclose(points(figure), sorted(zip(RATE, DISTORTION, strict=True)))
    (ring,) = parts(figure, "best")
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (10.0, 90.0)
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["1", "4"]


def test_labels_don_t_overlap_with_hundreds_of_runs() -> None:
    generator = np.random.default_rng(0)
    rate = generator.uniform(0, 30, 400)
    figure = rate_distortion(rate, 110 - rate + generator.normal(0, 4, 400), list(generator.uniform(0.1, 10, 400)), "b")
    pixels(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[place + 1 :])


@pytest.mark.parametrize(
    ("rate", "distortion", "values"),
    [
        ([], [], ()),
        ([math.nan], [math.nan], [1]),
        ([3.0], [90.0], ["mlp"]),
        ([3.0, 3.0, math.nan], [90.0, 90.0, 80.0], [1, 2, 3]),
        ([0.0, 1e6], [1e6, 0.0], ["$a$", r"\frac{b$"]),
        ([*range(30)], [*range(30)], [f"name {index}" for index in range(30)]),
        ([*range(30)], [*range(30)], [*range(30)]),
    ],
)
def test_any_runs_can_be_drawn(rate: Sequence[float], distortion: Sequence[float], values: Sequence[Any]) -> None:
    assert pixels(rate_distortion(rate, distortion, values, "$x_", best=0 if rate else None), dpi=40).std() > 0
    if values:
        assert pixels(by_setting({"$x_": values}, {"KL": rate}), dpi=40).std() > 0


def test_means_are_those_of_each_value() -> None:
    numbers = np.array([1.0, 3.0, 10.0, math.nan, 5.0])
    assert means([4, 4, 1, 1, 0.5], numbers) == [(0.5, 5.0), (1, 10.0), (4, 2.0)]
    assert means(["mlp", "mlp", "conv", "conv", "wide"], numbers) == [("mlp", 2.0), ("conv", 10.0), ("wide", 5.0)]
    assert means([1, 1, 1, 2, 3], numbers) == [(1, 14 / 3), (3, 5.0)]  # at 2 nothing is known


def test_many_values_are_averaged_over_neighbours() -> None:
    numbers = np.array([5.0, 1.0, 2.0, math.nan, 4.0])
    assert running_means([5.0, 1.0, 2.0, 3.0, 4.0], numbers, parts=2) == [(1.5, 1.5), (4.5, 4.5)]
    values: list[Any] = np.linspace(0, 1, 60).tolist()
    (line,) = parts(by_setting({"lr": values}, {"KL": values}), "mean")
    assert len(line.get_xdata()) == 6 and np.allclose(line.get_xdata(), line.get_ydata())


def test_small_multiples_have_a_panel_for_each_setting_and_metric() -> None:
    settings: dict[str, list[Any]] = {"model": ["mlp", "conv", "mlp"], "beta": [0.1, 1, 10], "latent_dim": [2, 2, 8]}
    figure = by_setting(settings, {"ELBO": [-100, -104, -102], "KL": [1, 2, 3]})
    assert len(figure.axes) == 6
    model, _, beta, _, latent_dim, _ = figure.axes
    assert [label.get_text() for label in model.get_xticklabels()] == ["mlp", "conv"]
    assert (beta.get_xscale(), latent_dim.get_xscale()) == ("log", "linear")
    lines = parts(figure, "mean")
    assert lines[0].get_ydata().tolist() == [-101, -104] and lines[0].get_linewidth() == 0  # names: no line
    assert lines[2].get_xdata().tolist() == [0.1, 1, 10] and lines[4].get_ydata().tolist() == [-102, -102]


@pytest.mark.parametrize(
    ("values", "wide"),
    [([1, 21], True), ([1, 20], False), ([0, 100], False), ([-1, 100], False), (["a", "b"], False), ([], False)],
)
def test_scales_are_logarithmic_where_values_span_much(values: list[Any], wide: bool) -> None:
    assert is_wide(values) == wide
