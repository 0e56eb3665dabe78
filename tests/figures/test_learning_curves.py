import math
from typing import Any

import pytest

from mnist_vae.figures import learning_curves, pixels
from tests.figures.helpers import parts


def test_there_is_a_line_per_run_coloured_by_the_setting() -> None:
    figure = learning_curves([([1, 2], [-150, -140]), ([1, 2, 3], [-130, math.nan, -110])], "val/elbo", [1, 4], "beta")
    first, second = parts(figure, "curve")
    assert (first.get_xdata().tolist(), first.get_ydata().tolist()) == ([1, 2], [-150, -140])
    assert (second.get_xdata().tolist(), second.get_ydata().tolist()) == ([1, 3], [-130, -110])
    assert first.get_color() != second.get_color()
    (axis,) = figure.axes
    assert axis.get_ylabel() == "val/elbo" and [text.get_text() for text in axis.get_legend().get_texts()] == ["1", "4"]


@pytest.mark.parametrize(
    ("curves", "values"),
    [
        ([], []),
        ([([], [])], []),
        ([([1], [math.nan])], ["a"]),
        ([([1], [-100.0])], []),
        ([([1, 2], [1e308, 1e99])] * 30, [*range(30)]),
        ([([1, 2], [1, 2])] * 9, [f"$x_{place}" for place in range(9)]),
    ],
)
def test_any_curves_can_be_drawn(curves: list[Any], values: list[Any]) -> None:
    assert pixels(learning_curves(curves, "$x_{", values, "$x_{"), dpi=40).std() > 0
