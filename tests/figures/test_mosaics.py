import numpy as np
import pytest

from mnist_vae import figures
from mnist_vae.figures.mosaics import GREY
from mnist_vae.figures.style import DPI
from tests.figures.helpers import drawn, ramp


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_of_a_grid_is_in_its_cell(channels: int) -> None:
    images = np.linspace(0, 1, 5)[:, None, None, None] * np.ones((5, channels, 4, 5))
    grid = figures.image_grid(images, columns=3, zoom=2, gap=1)
    assert grid.dtype == np.uint8 and grid.shape == (2 * (4 * 2 + 1) - 1, 3 * (5 * 2 + 1) - 1, channels)
    centres = grid[4::9, 5::11, 0]
    assert centres.shape == (2, 3)
    assert np.abs(centres.ravel()[:5] / 255 - np.linspace(0, 1, 5)).max() < 0.01
    assert centres.ravel()[5] == GREY  # no image there
    assert (grid[8] == GREY).all() and (grid[:, 10] == GREY).all()


def test_every_pixel_of_a_mosaic_is_enlarged_exactly() -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 2, (2, 3, 1, 7, 7)).astype(float)
    pixels = drawn(figures.mosaic([figures.Block(images, gap=0)]))[:, :, 0]
    zoom = 112 // 7
    height, width = 2 * 7 * zoom, 3 * 7 * zoom
    expected = images.transpose(0, 3, 1, 4, 2).reshape(14, 21).repeat(zoom, 0).repeat(zoom, 1) * 255
    left, top = 16, 8
    assert np.array_equal(pixels[top : top + height, left : left + width], expected)
    assert DPI >= 150


@pytest.mark.parametrize("channels", [1, 3])
def test_blanks_are_white_and_colours_are_kept(channels: int) -> None:
    images = np.zeros((1, 2, channels, 7, 7))
    images[0, 0, 0] = 1.0
    images[0, 1] = np.nan
    pixels = drawn(figures.mosaic([figures.Block(images)]))
    middle = 8 + 56
    assert pixels[middle, 16 + 56].tolist() == [255, 255 if channels == 1 else 0, 255 if channels == 1 else 0]
    assert pixels[middle, 16 + 120 + 56].tolist() == [255, 255, 255]


def test_labels_are_inside_the_figure() -> None:
    figure = figures.mosaic([figures.Block(ramp(4)[None], ["a rather long name of a row"], list("abcd"))], "a\ntitle")
    texts = [text.get_text() for text in figure.texts]
    assert texts == ["a\ntitle", "a rather long name of a row", "a", "b", "c", "d"]
    figure.canvas.draw()
    box = figure.bbox
    for text in figure.texts:
        extent = text.get_window_extent()
        assert extent.x0 >= 0 and extent.y0 >= 0 and extent.x1 <= box.width and extent.y1 <= box.height, text


@pytest.mark.parametrize(
    "names", [list("abcd"), ["name"] * 4, ["a name that is wide"] * 4, ["wider than one", "", "a", "b"]]
)
def test_labels_of_columns_do_not_overlap_each_other_or_the_title(names: list[str]) -> None:
    block = figures.Block(ramp(4)[None], ["row"], names, heading="heading")
    figure = figures.mosaic([block, block], "a title\nof two lines")
    figure.canvas.draw()
    shown = [text for text in figure.texts if text.get_text()]
    boxes = [text.get_window_extent() for text in shown]
    for index, box in enumerate(boxes):
        assert box.y0 >= 0 and box.y1 <= figure.bbox.height
        for other in range(index):
            assert not box.overlaps(boxes[other]), (shown[index], shown[other])
