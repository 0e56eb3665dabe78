import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from mnist_vae.explorer.pictures import Gallery, Picture, data_uri, packed, to_bytes


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_packed_as_rgba_from_the_lowest_row(channels: int) -> None:
    pixels = np.arange(2 * 3 * channels, dtype=np.uint8).reshape(2, 3, channels)
    rgba = packed(pixels).view(np.uint8).reshape(2, 3, 4)
    assert (rgba[..., 3] == 255).all()
    assert np.array_equal(rgba[::-1, :, :3], np.broadcast_to(pixels, (2, 3, 3)))


def test_an_image_in_bytes() -> None:
    image = torch.tensor([[[0.0, 0.5], [1.0, 1.2]]])
    assert to_bytes(image)[..., 0].tolist() == [[0, 128], [255, 255]]


def test_a_data_uri_holds_the_picture() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    kind, _, content = data_uri(pixels).partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_a_picture_keeps_its_proportions_and_can_change() -> None:
    picture = Picture("one", np.zeros((10, 20, 1), np.uint8), 200)
    assert (picture.plot.width, picture.plot.height) == (200, 100)
    picture.show(np.full((10, 20, 1), 255, np.uint8))
    assert (picture.source.data["image"][0] == 0xFFFFFFFF).all()


POINTS = [(0.1, 0.9, 0), (0.9, 0.9, 2), (0.1, 0.1, 3), (0.9, 0.1, None), (1.5, 0.9, None), (0.5, -0.2, None)]


@pytest.mark.parametrize(("x", "y", "index"), POINTS)
def test_a_point_of_a_gallery_is_in_an_image(x: float, y: float, index: int | None) -> None:
    assert Gallery("all", torch.zeros(5, 1, 4, 4), 3, 90).index_at(x, y) == index
