import numpy as np
from matplotlib.figure import Figure

from mnist_vae.figures.style import pixels, signed, style_axes


def test_axes_have_a_left_aligned_title_and_two_spines() -> None:
    axis = Figure().subplots()
    style_axes(axis, "a title")
    assert axis.get_title(loc="left") == "a title" and axis.get_title(loc="center") == ""
    assert {name for name, spine in axis.spines.items() if spine.get_visible()} == {"left", "bottom"}


def test_pixels_are_rgb_in_the_requested_resolution() -> None:
    figure = Figure(figsize=(3, 2), facecolor=(1.0, 0.0, 0.2))
    rendered = pixels(figure, dpi=50)
    assert rendered.dtype == np.uint8 and rendered.shape == (100, 150, 3)
    assert (rendered == [255, 0, 51]).all()


def test_negative_numbers_have_a_minus_sign() -> None:
    assert signed(f"{-1.5:+g}") == "\N{MINUS SIGN}1.5" and signed(f"{1.5:+g}") == "+1.5"
