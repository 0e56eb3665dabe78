"""The report's pictures, as data URIs: the page has to be whole without any file beside it."""

import base64
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mnist_vae.figures.png import read_png
from mnist_vae.sweeps.job_results import Job

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

WIDEST = 1000  # pixels of a picture that was a file
SHARPNESS = 144  # dots per inch of a figure
CSS_PIXELS = 96  # per inch
GROUND, TEXT = np.array([20, 23, 27]), np.array([228, 231, 235])  # of the page in dark colours, as in report.css
WHITE = 250  # grey level from which a pixel belongs to the ground
COVERED = 0.5  # share of a row or column of pixels that says that images begin or end there, not text


class Picture(NamedTuple):
    """A picture as a data URI, and its width in CSS pixels, at which its text has the size it was drawn with."""

    address: str
    width: int


def embedded(figure: "Figure") -> Picture:
    """Embed a matplotlib Figure."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name's letters that the font lacks: drawn as boxes
        figure.savefig(file, format="png", dpi=SHARPNESS)
    return Picture(_uri(file.getvalue(), "png"), round(figure.get_figwidth() * CSS_PIXELS))


class Shades(NamedTuple):
    """A picture for a white page and the same for a dark one, as data URIs."""

    light: str
    dark: str


def shrunk(job: Job, name: str, top: Path) -> Shades | None:
    """A run's figures/<name>, small enough for the page; None if it is not there, is no PNG file, or is a link to
    something outside `top`, the sweep's folder."""
    path = job.folder / "figures" / name
    try:
        if not path.resolve().is_relative_to(top.resolve()):
            return None
        image = read_png(path).convert("RGB")
        return Shades(_small(image), _small(darkened(image)))
    except Exception:  # a damaged picture raises whatever its decoder stumbles on
        return None


def darkened(mosaic: "Image") -> "Image":
    """A mosaic of images with what is around them, a white ground and text, in the colours of a dark page."""
    from PIL.Image import fromarray

    pixels = np.asarray(mosaic)
    filled = pixels.min(axis=2) < WHITE
    rows = _of_images(filled)
    columns = _of_images(filled[rows].T)
    around = (TEXT + (GROUND - TEXT) * (pixels / 255)).astype(np.uint8)
    # The pixels at an image's edge are a mixture of it and of the ground.
    edge = np.where(np.outer(rows, columns)[:, :, None], np.minimum(pixels, around), around)
    return fromarray(np.where(np.outer(_inner(rows), _inner(columns))[:, :, None], pixels, edge))


def _of_images(filled: np.ndarray) -> np.ndarray:
    """The rows of images: those between two white rows, if one of them is mostly filled, as an image's edge is."""
    covered = filled.sum(axis=1) / max(1, filled.shape[1])
    part = np.cumsum(np.diff(covered > 0, prepend=False))  # counts where white rows begin and end
    most = np.zeros(len(covered) + 1)
    np.maximum.at(most, part, covered)
    return most[part] > COVERED


def _inner(covered: np.ndarray) -> np.ndarray:
    """What is covered with its two neighbours on both sides."""
    return np.convolve(covered, np.ones(5), "same") == 5


def _small(image: "Image") -> str:
    image.thumbnail((WIDEST, 2 * WIDEST))
    file = io.BytesIO()
    image.save(file, format="jpeg", quality=80, optimize=True)
    return _uri(file.getvalue(), "jpeg")


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
