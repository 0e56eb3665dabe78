"""Small multiples of a sweep against values computed by hand."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mnist_vae.figures import by_setting, pixels
from mnist_vae.figures.sweeps import is_wide, means, running_means
from tests.figures.helpers import parts


@pytest.mark.parametrize(
    ("numbers", "values"),
    [
        ([math.nan], [1]),
        ([3.0], ["mlp"]),
        ([3.0, 3.0, math.nan], [1, 2, 3]),
        ([0.0, 1e6], ["$a$", r"\frac{b$"]),
        ([0.0, 1e308, -math.inf], [1, 1e300, 2]),
        ([1e99, -1e99], [-1e99, 1e99]),
        ([0.0, 1.0], ["\ud800", "\udcff" * 100]),
        ([*range(30)], [f"name {index}" for index in range(30)]),
        ([*range(30)], [*range(30)]),
    ],
)
def test_any_runs_can_be_drawn(numbers: Sequence[float], values: Sequence[Any]) -> None:
    assert pixels(by_setting({"$x_": values}, {"KL": numbers}), dpi=40).std() > 0


def test_means_of_each_value() -> None:
    numbers = np.array([1.0, 3.0, 10.0, math.nan, 5.0])
    assert means([4, 4, 1, 1, 0.5], numbers) == [(0.5, 5.0), (1, 10.0), (4, 2.0)]
    assert means(["mlp", "mlp", "conv", "conv", "wide"], numbers) == [("mlp", 2.0), ("conv", 10.0), ("wide", 5.0)]
    assert means([1, 1, 1, 2, 3], numbers) == [(1, 14 / 3), (3, 5.0)]  # no finite number at 2


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
    assert lines[0].get_linewidth() == 0  # no line between strings
    assert lines[0].get_ydata().tolist() == [-101]  # of the two runs of mlp; conv has one, which is its own mean
    assert lines[2].get_xdata().tolist() == [0.1, 1, 10] and lines[4].get_ydata().tolist() == [-102, -102]


@pytest.mark.parametrize(
    ("values", "wide"),
    [([1, 21], True), ([1, 20], False), ([0, 100], False), ([-1, 100], False), (["a", "b"], False), ([], False)],
)
def test_scales_are_logarithmic_for_a_large_ratio_of_values(values: list[Any], wide: bool) -> None:
    assert is_wide(values) == wide
