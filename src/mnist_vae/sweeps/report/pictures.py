"""The report's pictures, as data URIs: the page has to be whole without any file beside it."""

import base64
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_vae import figures
from mnist_vae.sweeps.job_results import Job
from mnist_vae.sweeps.report.tables import METRICS
from mnist_vae.sweeps.report.text import DASH
from mnist_vae.sweeps.results import Group
from mnist_vae.sweeps.varied import SEED, written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDEST = 1000  # pixels of a picture that was a file
SHARPNESS = 180  # dots per inch of a figure
PLANES = 4  # rate-distortion planes of a group, each coloured by another setting
ROWS = 8  # settings in the small multiples


def planes(group: Group) -> list[tuple[str, str]]:
    """The rate-distortion plane once for each setting that varies: what colours it, and the picture."""
    keys: list[str] = _varying(group)[:PLANES]
    rate, distortion = ([job.number(name) for job in group.jobs] for name in ("test/kl", "test/reconstruction"))
    curves, free = _along_beta(group)
    drawn = []
    for key in keys or [""]:
        values = _values(group, key) if key else ()
        best = 0 if group.ranked else None
        figure = figures.rate_distortion(rate, distortion, values, key, best, curves=curves, free=free)
        drawn.append((key, embedded(figure)))
    return drawn


def _along_beta(group: Group) -> tuple[list[list[int]], list[int]]:
    """Jobs that differ in beta alone, by rising beta, as indices; and those of beta = 1. Neither if beta is fixed."""
    betas = _values(group, "beta")
    if "beta" not in _varying(group) or not all(isinstance(beta, int | float) for beta in betas):
        return [], []
    families: dict[str, list[int]] = {}
    for index, job in enumerate(group.jobs):
        others = {key: job.settings.get(key) for key in group.keys if key != "beta"}
        families.setdefault(repr(others), []).append(index)
    curves = [sorted(family, key=lambda index: betas[index]) for family in families.values() if len(family) > 2]
    return curves, [index for index, beta in enumerate(betas) if beta == 1]


def effects(group: Group) -> str:
    """Small multiples of each setting that varies against each metric; empty if none varies."""
    keys = _varying(group)[:ROWS]
    if not keys:
        return ""
    metrics = {heading: [job.number(name) for job in group.jobs] for name, heading in list(METRICS.items())[:4]}
    return embedded(figures.by_setting({key: _values(group, key) for key in keys}, metrics))


def embedded(figure: "Figure") -> str:
    """A matplotlib Figure as a data URI."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name's letters that the font lacks: drawn as boxes
        figure.savefig(file, format="png", dpi=SHARPNESS)
    return _uri(file.getvalue(), "png")


def shrunk(job: Job, name: str) -> str:
    """A run's figures/<name>, small enough for the page; empty if it is not there, or is no picture."""
    from PIL import Image

    try:
        with Image.open(Path(job.folder) / "figures" / name) as image:
            image.thumbnail((WIDEST, 2 * WIDEST))
            file = io.BytesIO()
            image.convert("RGB").save(file, format="jpeg", quality=80, optimize=True)
    except Exception:  # a damaged picture raises whatever its decoder stumbles on
        return ""
    return _uri(file.getvalue(), "jpeg")


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _varying(group: Group) -> list[str]:
    """The keys that differ within the group; the seed only where nothing else does, for it is not of interest."""
    keys = [key for key in group.keys if len(set(map(str, _values(group, key)))) > 1]
    return [key for key in keys if key != SEED] or keys


def _values(group: Group, key: str) -> list[float | str]:
    """A value per job: numbers if all are, else text."""
    values = [job.settings.get(key, DASH) for job in group.jobs]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return values
    return [value if isinstance(value, str) else written(value) for value in values]
