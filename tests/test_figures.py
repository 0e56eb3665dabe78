import io

import numpy as np
import pytest
from PIL import Image

from mnist_vae import figures


def ramp(count: int, channels: int = 1) -> np.ndarray:
    return np.linspace(0, 1, count)[:, None, None, None] * np.ones((count, channels, 4, 5))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_shows_every_image_in_its_place(channels: int) -> None:
    grid = figures.image_grid(ramp(5, channels), columns=3, zoom=2, gap=1)
    assert grid.dtype == np.uint8 and grid.shape == (2 * (4 * 2 + 1) - 1, 3 * (5 * 2 + 1) - 1, channels)
    centres = grid[4::9, 5::11, 0]
    assert centres.shape == (2, 3)
    assert np.abs(centres.ravel()[:5] / 255 - np.linspace(0, 1, 5)).max() < 0.01
    grey = round(figures.GREY * 255)
    assert abs(int(centres.ravel()[5]) - grey) <= 1  # no image there
    assert (np.abs(grid[8].astype(int) - grey) <= 1).all() and (np.abs(grid[:, 10].astype(int) - grey) <= 1).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_results_have_three_labelled_rows_and_one_image_per_column(channels: int) -> None:
    images = ramp(10, channels)
    labels = [str(digit) for digit in range(10)]
    figure = figures.results_figure(images, images, images, labels, "a title")
    axes = figure.axes
    assert len(axes) == 30 and all(len(axis.images) == 1 for axis in axes)
    assert [axis.get_title() for axis in axes[:10]] == labels
    assert [axes[row * 10].get_ylabel() for row in range(3)] == ["originals", "reconstructions", "samples"]
    assert figure.get_suptitle() == "a title"
    for column in range(10):  # the arrays themselves, not resampled
        shown = np.asarray(axes[column].images[0].get_array())
        assert np.allclose(shown, images[column][0] if channels == 1 else images[column].transpose(1, 2, 0))


def test_results_are_sharp() -> None:
    figure = figures.results_figure(ramp(10), ramp(10), ramp(10), list("0123456789"))
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert figure.dpi >= 150
    assert Image.open(file).width >= 1500
