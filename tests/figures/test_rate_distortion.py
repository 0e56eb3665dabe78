"""Rate-distortion figures against values computed by hand."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from mnist_vae.figures import pixels, rate_distortion
from mnist_vae.figures.rate_distortion import label_sides
from tests.figures.helpers import parts

RATE = [5.0, 10.0, 20.0, 15.0]
DISTORTION = [100.0, 90.0, 85.0, 88.0]


def points(figure: Figure) -> np.ndarray:
    """All points of the first axes, sorted, (points, 2)."""
    return np.array(sorted(tuple(xy) for drawn in figure.axes[0].collections for xy in drawn.get_offsets().tolist()))


def test_lines_have_equal_elbo_and_are_labelled_by_it() -> None:
    figure = rate_distortion(RATE, DISTORTION)
    lines = parts(figure, "iso-elbo")
    sums = [line.get_xdata() + line.get_ydata() for line in lines]
    assert len(lines) >= 3
    for both_ends in sums:
        assert both_ends[0] == pytest.approx(both_ends[1], abs=1e-9)
    labels = figure.axes[0].texts
    assert labels
    for label in labels:
        elbo = float(label.get_text().removeprefix("ELBO ").replace("\N{MINUS SIGN}", "-"))
        assert elbo == pytest.approx(-sum(label.xy))
        assert any(elbo == pytest.approx(-line[0]) for line in sums)


def test_lines_are_inside_the_axes_and_every_run_is_a_point() -> None:
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


def test_labels_of_lines_do_not_overlap() -> None:
    generator = np.random.default_rng(0)
    rate = generator.uniform(0, 30, 400)
    figure = rate_distortion(rate, 110 - rate + generator.normal(0, 4, 400), list(generator.uniform(0.1, 10, 400)), "b")
    pixels(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[place + 1 :])


def test_beta_stands_beside_each_point_of_a_curve_and_covers_none() -> None:
    betas = [8.0, 4.0, 2.0, 1.0, 0.5, 0.25]
    rate, distortion = [4.3, 9.2, 16.2, 24.3, 32.5, 40.5], [137.0, 105.3, 84.3, 72.2, 65.8, 62.6]
    two = [*rate, *(value + 1.5 for value in rate)], [*distortion, *(value + 2 for value in distortion)]
    figure = rate_distortion(*two, betas=betas * 2, curves=[[*range(6)], [*range(6, 12)]])
    pixels(figure)
    labels = [label for label in figure.axes[0].texts if label.get_gid() == "beta"]
    assert [(float(label.get_text()), label.xy) for label in labels] == list(
        zip(betas * 2, zip(*two, strict=True), strict=True)
    )
    places = figure.axes[0].transData.transform(np.transpose(two))
    boxes = [label.get_window_extent() for label in labels]
    assert not any(box.contains(*place) for box in boxes for place in places)
    assert not any(box.overlaps(other) for place, box in enumerate(boxes) for other in boxes[:place])


def test_too_many_labels_are_left_out() -> None:
    many = np.arange(100.0)
    assert label_sides(np.stack([many, -many], axis=1), [[*range(100)]]) == {}
    assert set(label_sides(np.array([[0, 1], [math.nan, 2], [3, 4]]), [[0, 1, 2]])) == {0, 2}


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
        ([1.0, 1e308, 3.0], [1.0, -1e308, math.inf], [1e308, 1, 2]),
        ([1e99, -1e99], [1e99, -1e99], [-1e99, 1e99]),
    ],
)
def test_any_runs_can_be_drawn(rate: Sequence[float], distortion: Sequence[float], values: Sequence[Any]) -> None:
    assert pixels(rate_distortion(rate, distortion, values, "$x_", best=0 if rate else None), dpi=40).std() > 0
