import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mnist_vae.figures.png import png, write_figure


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_pixels_are_encoded_without_loss(channels: int, mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    with Image.open(io.BytesIO(png(pixels))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", mode, (7, 5))
        assert np.array_equal(np.asarray(image).reshape(5, 7, channels), pixels)


def test_a_figure_replaces_the_earlier_file_in_its_own_size(tmp_path: Path) -> None:
    path = tmp_path / "new" / "figure.png"
    for width in (2, 3):
        write_figure(path, Figure(figsize=(width, 1), dpi=50))
        with Image.open(path) as image:
            assert image.size == (50 * width, 50)
    assert [file.name for file in path.parent.iterdir()] == ["figure.png"]
