"""Drawings against MNIST's framing, measured on the images themselves."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from mnist_vae.data.drawing import PEN, PictureError, frame_picture, render_strokes
from mnist_vae.data.mnist import TorchvisionSource

SIZE = (28, 28)
SEVEN = torch.tensor([[0.3, 0.2, 0.7, 0.2], [0.7, 0.2, 0.45, 0.85]])


def centre_of_mass(image: Tensor) -> list[float]:
    """Row and column, 0 at the middle of the first pixel."""
    sums = image.sum(dim=1), image.sum(dim=0)
    return [float((part * torch.arange(len(part))).sum() / part.sum()) for part in sums]


def extent(image: Tensor) -> list[int]:
    """Rows and columns that have ink."""
    inked = image > 0.2
    return [int(inked.any(dim=1).sum()), int(inked.any(dim=0).sum())]


@pytest.mark.parametrize("scale", [1, 0.01, 280])
@pytest.mark.parametrize("shift", [0, -3.0])
def test_a_drawing_of_any_size_and_place_is_20_pixels_long_around_the_middle(scale: float, shift: float) -> None:
    image = render_strokes(SEVEN * scale + shift, SIZE)
    assert image.shape == SIZE and image.min() >= 0 and image.max() == 1
    assert extent(image)[0] in (20, 21)
    assert centre_of_mass(image) == pytest.approx([14, 14], abs=0.1)
    assert torch.allclose(image, render_strokes(SEVEN, SIZE), atol=1e-2)


def test_a_straight_stroke_has_the_area_of_its_shape() -> None:
    image = render_strokes(torch.tensor([[0, 0, 0, 1.0]]), SIZE)
    radius = PEN * 28
    # A rectangle with half a disc at both ends, all of it 20 pixels long; and half a pixel of antialiased edge.
    area = 2 * radius * (20 - 2 * radius) + np.pi * radius**2
    assert float(image.sum()) == pytest.approx(area, rel=0.02)


def test_a_dot_is_a_disc() -> None:
    image = render_strokes(torch.tensor([[0.4, 0.4, 0.4, 0.4]]), SIZE)
    assert float(image.sum()) == pytest.approx(np.pi * (PEN * 28) ** 2, rel=0.1)
    assert torch.allclose(image, image.T) and image[14, 14] == 1


@pytest.mark.parametrize("size", [(12, 20), (8, 8), (32, 32)])
def test_other_shapes_are_filled_in_proportion(size: tuple[int, int]) -> None:
    image = render_strokes(SEVEN, size)
    assert image.shape == size
    assert max(extent(image)) == pytest.approx(min(size) * 20 / 28, abs=1.5)


def test_strokes_are_as_wide_as_those_of_the_real_ones(real_mnist: str) -> None:
    arrays = TorchvisionSource("MNIST", real_mnist).load()
    ones = arrays.train_images[arrays.train_labels == 1][:, 0] / 255
    upright = ones[(ones > 0.2).any(dim=1).sum(dim=1) <= 5]
    ours = render_strokes(torch.tensor([[0.5, 0, 0.5, 1]]), SIZE)
    assert float(ours.sum()) == pytest.approx(float(upright.sum(dim=(1, 2)).mean()), rel=0.1)


def picture(ink: str, paper: str, kind: str = "PNG", mode: str = "RGB") -> bytes:
    """A seven, drawn in a corner of a picture."""
    image = Image.new(mode, (200, 300), paper)
    ImageDraw.Draw(image).line([(20, 40), (90, 40), (50, 150)], fill=ink, width=14)
    content = io.BytesIO()
    image.save(content, format=kind)
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        picture("black", "white"),
        picture("white", "black"),
        picture("#334455", "#ddeecc", "JPEG"),
        picture("black", "#00000000", "PNG", "RGBA"),
    ],
    ids=["ink on paper", "chalk", "photograph", "transparent"],
)
def test_a_picture_is_framed_whatever_its_colours(content: bytes) -> None:
    image = frame_picture(content, SIZE)
    assert image.shape == SIZE and image.min() >= 0 and image.max() > 0.9 and image[0, 0] < 0.05
    assert extent(image)[0] == pytest.approx(20, abs=1)
    assert centre_of_mass(image) == pytest.approx([14, 14], abs=0.7)


def test_a_photograph_is_turned_as_its_camera_was_held() -> None:
    upright = Image.open(io.BytesIO(picture("black", "white")))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    content = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(content, format="PNG", exif=exif)
    assert torch.allclose(
        frame_picture(content.getvalue(), SIZE), frame_picture(picture("black", "white"), SIZE), atol=0.01
    )


def test_sixteen_bits_of_grey_are_scaled() -> None:
    levels = np.asarray(Image.open(io.BytesIO(picture("black", "white"))).convert("L"), dtype=np.uint16)
    content = io.BytesIO()
    Image.fromarray(5000 + levels * 98).save(content, format="PNG")
    assert torch.allclose(
        frame_picture(content.getvalue(), SIZE), frame_picture(picture("black", "white"), SIZE), atol=0.01
    )


BOMB = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\xff\xff\x00\x00\xff\xff\x08\x02\x00\x00\x00"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (picture("white", "white"), "the picture is blank"),
        (b"", "cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "cannot be read"),
        (picture("black", "white")[:200], "cannot be read"),
        (BOMB, "cannot be read"),
    ],
    ids=["blank", "empty", "EPS", "cut off", "bomb"],
)
def test_what_is_no_drawing_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        frame_picture(content, SIZE)


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("1", (5000, 5000)).save(content, format="PNG")
    with pytest.raises(PictureError, match="more than 20,000,000 pixels"):
        frame_picture(content.getvalue(), SIZE)
