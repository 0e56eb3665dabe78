"""The report's pictures, as data URIs: the page has to be whole without any file beside it."""

import base64
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mnist_vae.figures.png import read_png
from mnist_vae.sweeps.job_results import Job

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDEST = 1000  # pixels of a picture that was a file
SHARPNESS = 144  # dots per inch of a figure
CSS_PIXELS = 96  # per inch


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


def shrunk(job: Job, name: str, top: Path) -> str:
    """A run's figures/<name>, small enough for the page; empty if it is not there, is no PNG file, or is a link to
    something outside `top`, the sweep's folder."""
    path = job.folder / "figures" / name
    try:
        if not path.resolve().is_relative_to(top.resolve()):
            return ""
        image = read_png(path).convert("RGB")
        image.thumbnail((WIDEST, 2 * WIDEST))
        file = io.BytesIO()
        image.save(file, format="jpeg", quality=80, optimize=True)
    except Exception:  # a damaged picture raises whatever its decoder stumbles on
        return ""
    return _uri(file.getvalue(), "jpeg")


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
