"""Colours against what makes them readable: contrast, and distance with a colour-vision deficiency."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from mnist_vae.figures.colours import GREY, NAMES
from mnist_vae.figures.palette import colouring, draw_key, sequential

# Viénot, Brettel and Mollon (1999): linear RGB as seen without the cones for red, and without those for green.
PROTANOPIA = np.array([[0.1124, 0.8876, 0], [0.1124, 0.8876, 0], [0.0040, -0.0040, 1]])
DEUTERANOPIA = np.array([[0.2928, 0.7072, 0], [0.2928, 0.7072, 0], [-0.0223, 0.0223, 1]])
VISIONS = {"all cones": np.eye(3), "protanopia": PROTANOPIA, "deuteranopia": DEUTERANOPIA}


def linear(colour: str) -> np.ndarray:
    """sRGB to linear RGB."""
    channels = np.array(to_rgb(colour))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB to CIELAB, in which distances are roughly what is seen."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISIONS)
def test_names_can_be_told_apart(vision: str) -> None:
    seen = [lab(VISIONS[vision] @ linear(colour)) for colour in NAMES]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 10


@pytest.mark.parametrize("vision", VISIONS)
def test_a_larger_number_is_lighter(vision: str) -> None:
    lightness = [lab(VISIONS[vision] @ linear(colour))[0] for colour in sequential([place / 10 for place in range(11)])]
    assert np.diff(lightness).min() > 1


def test_no_colour_is_faint_on_white() -> None:
    for colour in (*NAMES, *sequential([0, 0.5, 1]), GREY):
        luminance = linear(colour) @ [0.2126, 0.7152, 0.0722]
        assert 1.05 / (luminance + 0.05) > 2.2, colour  # a yellow of the whole colour map has 1.2


def test_few_numbers_are_in_order_and_many_have_a_scale() -> None:
    few = colouring([4, 1, 4, 2])
    assert few.colours == [sequential([0, 0.5, 1])[place] for place in (2, 0, 2, 1)]
    assert list(few.order) == ["1", "2", "4"] and few.labels == ["4", "1", "4", "2"] and few.scale is None
    many = colouring([10.0**place for place in range(9)])
    assert (
        many.scale == (1, 1e8, True) and many.order == {} and many.colours == sequential(np.linspace(0, 1, 9).tolist())
    )


def test_more_names_than_colours_share_a_grey() -> None:
    found = colouring([f"name {place}" for place in range(10)])
    assert found.colours == [*NAMES, GREY, GREY, GREY] and list(found.order)[-1] == "3 others"
    assert found.labels[-3:] == ["3 others"] * 3


def test_one_value_has_neither_legend_nor_scale() -> None:
    found = colouring([3, 3])
    assert found.colours == [NAMES[0]] * 2 and found.order == {} and found.scale is None
    assert colouring([]).colours == []


@pytest.mark.parametrize("values", [["$a_{", "b"], [1, 2], [*range(20)], [10.0**place for place in range(20)]])
def test_the_key_has_a_title(values: list) -> None:
    figure = Figure()
    axis = figure.subplots()
    draw_key(axis, colouring(values), "$name")
    legend = axis.get_legend()
    titles = [legend.get_title().get_text()] if legend else [other.get_ylabel() for other in figure.axes[1:]]
    assert titles == [r"\$name"]
    figure.draw_without_rendering()
