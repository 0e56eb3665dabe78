"""Drawings and pictures as images in MNIST's framing.

As the digits of MNIST were (LeCun et al. 1998, section 3.A, and http://yann.lecun.com/exdb/mnist): scaled with their
proportions to a box of 20 of the 28 pixels, and placed with their centre of mass in the middle of the image.
"""

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mnist_vae.utils.errors import UserError, first_line

if TYPE_CHECKING:
    from PIL.Image import Image

BOX = 20 / 28  # longer side of the drawing, as a share of the image's shorter side
PEN = 1.3 / 28  # half the width of a stroke, as such a share: that of MNIST's ones
MAX_PIXELS = 20_000_000  # of an uploaded picture
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
FAINTEST = 0.2  # of a picture's strongest contrast, what belongs to the drawing


class PictureError(UserError):
    """An uploaded picture cannot be read, or is blank."""


def render_strokes(segments: Tensor, size: tuple[int, int]) -> Tensor:
    """Draw line segments in MNIST's framing, with a round pen and antialiased edges.

    Args:
        segments: (n, 4), x and y of both ends in any unit, y downwards. A segment of length 0 is a dot.
        size: height and width of the image.

    Returns:
        (height, width) in [0, 1], 1 on the stroke.
    """
    height, width = size
    side = min(size)
    ends = segments.reshape(-1, 2)
    low, high = ends.amin(dim=0), ends.amax(dim=0)
    scale = side * (BOX - 2 * PEN) / (high - low).amax(dim=0).clamp(min=1e-6)
    middle = segments.new_tensor([width // 2 + 0.5, height // 2 + 0.5])
    placed = (segments.reshape(-1, 2, 2) - (low + high) / 2) * scale + middle
    x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    pixels = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1).reshape(-1, 1, 2)
    image = _ink(placed, pixels, side * PEN)
    centre_of_mass = (image[:, None] * pixels[:, 0]).sum(dim=0) / image.sum()
    return _ink(placed + middle - centre_of_mass, pixels, side * PEN).reshape(height, width)


def _ink(segments: Tensor, pixels: Tensor, radius: float) -> Tensor:
    """Coverage by segments (n, 2, 2) of pixels with these centres, (pixels, 1, 2): (pixels,) in [0, 1]."""
    start, direction = segments[:, 0], segments[:, 1] - segments[:, 0]
    along = ((pixels - start) * direction).sum(dim=-1) / direction.square().sum(dim=-1).clamp(min=1e-12)
    nearest = start + along.clamp(0, 1)[..., None] * direction
    distance = (pixels - nearest).square().sum(dim=-1).amin(dim=-1).sqrt()
    return (radius + 0.5 - distance).clamp(0, 1)


def frame_picture(content: bytes, size: tuple[int, int]) -> Tensor:
    """Bring a picture of a drawing, dark on light or light on dark, into MNIST's framing.

    Args:
        content: a file of one of FORMATS.
        size: height and width of the image.

    Returns:
        (height, width) in [0, 1].

    Raises:
        PictureError: it is no such file, has more than MAX_PIXELS pixels, or is blank.
    """
    grey = _read_grey(content)
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(edge))
    if ink.max() < 0.1:
        raise PictureError("the picture is blank; draw a digit on a plain background.")
    ink = ink / np.median(ink[ink > ink.max() / 2])  # rather than the maximum, which JPEG's edges exceed
    rows, columns = np.nonzero((ink > FAINTEST).any(axis=1))[0], np.nonzero((ink > FAINTEST).any(axis=0))[0]
    cropped = torch.from_numpy(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]).float()
    scale = min(size) * BOX / max(cropped.shape)
    small_size = [max(1, round(side * scale)) for side in cropped.shape]
    small = F.interpolate(cropped[None, None], small_size, mode="bilinear", antialias=True)[0, 0].clamp(0, 1)
    return _centred(small, size)


def _centred(small: Tensor, size: tuple[int, int]) -> Tensor:
    """Place an image on a black one of that size, by whole pixels, its centre of mass in the middle."""
    placed = []
    for sums, length, full in (
        (small.sum(dim=1), small.shape[0], size[0]),
        (small.sum(dim=0), small.shape[1], size[1]),
    ):
        centre_of_mass = float((sums * torch.arange(length)).sum() / sums.sum())
        placed.append(min(max(0, round(full // 2 - centre_of_mass)), full - length))
    image = torch.zeros(size)
    image[placed[0] : placed[0] + small.shape[0], placed[1] : placed[1] + small.shape[1]] = small
    return image


def _read_grey(content: bytes) -> np.ndarray:
    """Grey levels of a picture on white, (height, width) float32 in [0, 1]."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Pillow would start Ghostscript for an EPS file.
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ValueError(f"it has more than {MAX_PIXELS:,} pixels")
                picture = _on_white(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise PictureError(f"the picture cannot be read: it is none of {', '.join(FORMATS)}.") from error
    except Exception as error:  # a damaged picture raises whatever its decoder stumbles on
        raise PictureError(
            f"the picture cannot be read ({first_line(error)}); use one of {', '.join(FORMATS)}."
        ) from error
    return picture


def _on_white(image: "Image") -> np.ndarray:
    """Grey levels of an opened picture, (height, width) float32 in [0, 1], transparent pixels white."""
    from PIL.Image import alpha_composite, new

    if image.mode.startswith(("I", "F")):  # more levels than Pillow converts
        levels = np.asarray(image, dtype=np.float32)
        return levels / max(1, levels.max())
    white = new("RGBA", image.size, "white")
    return np.asarray(alpha_composite(white, image.convert("RGBA")).convert("L"), dtype=np.float32) / 255
