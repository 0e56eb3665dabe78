"""The report's pictures, as data URIs: the page has to be whole without any file beside it."""

import base64
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_vae import figures
from mnist_vae.figures.png import read_png
from mnist_vae.sweeps.job_results import Job
from mnist_vae.sweeps.ranking import Group
from mnist_vae.sweeps.report.tables import metrics_of
from mnist_vae.sweeps.varied import SEED, written
from mnist_vae.utils.text import DASH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDEST = 1000  # pixels of a picture that was a file
SHARPNESS = 180  # dots per inch of a figure
PLANES = 4  # rate-distortion planes of a group, each coloured by another setting
ROWS, COLUMNS = 8, 5  # settings and metrics in the small multiples


def planes(group: Group) -> list[tuple[str, str]]:
    """The rate-distortion plane once for each setting that varies: what colours it, and the picture.

    A point is a configuration, by its means over seeds.
    """
    firsts = [configuration.jobs[0] for configuration in group.configurations]
    keys = [key for key in _varying(firsts, group.keys) if key != SEED][:PLANES]
    rate, distortion = (
        [configuration.mean(name) for configuration in group.configurations]
        for name in ("test/kl", "test/reconstruction")
    )
    curves, free = _along_beta(firsts, keys)
    best = 0 if group.best else None
    drawn = []
    for key in keys:
        figure = figures.rate_distortion(rate, distortion, _values(firsts, key), key, best, curves=curves, free=free)
        drawn.append((key, embedded(figure)))
    return drawn


def _along_beta(jobs: Sequence[Job], keys: list[str]) -> tuple[list[list[int]], list[int]]:
    """Jobs that differ in beta alone, by rising beta, as indices; and those of beta = 1. Neither if beta is fixed."""
    betas = _values(jobs, "beta")
    if "beta" not in keys or not all(isinstance(beta, int | float) for beta in betas):
        return [], []
    families: dict[str, list[int]] = {}
    for index, job in enumerate(jobs):
        others = {key: job.settings.get(key) for key in keys if key != "beta"}
        families.setdefault(repr(others), []).append(index)
    curves = [sorted(family, key=lambda index: betas[index]) for family in families.values() if len(family) > 2]
    return curves, [index for index, beta in enumerate(betas) if beta == 1]


def effects(group: Group) -> str:
    """Small multiples of each setting that varies against each metric, a point per run; empty if none varies."""
    jobs = group.jobs
    varying = _varying(jobs, group.keys)
    # The seed only where nothing else varies: it is not of interest.
    keys = [key for key in varying if key != SEED][:ROWS] or varying
    if not keys:
        return ""
    shown = list(metrics_of(group).items())[:COLUMNS]
    metrics = {heading: [job.number(name) for job in jobs] for name, heading in shown}
    return embedded(figures.by_setting({key: _values(jobs, key) for key in keys}, metrics))


def embedded(figure: "Figure") -> str:
    """A matplotlib Figure as a data URI."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name's letters that the font lacks: drawn as boxes
        figure.savefig(file, format="png", dpi=SHARPNESS)
    return _uri(file.getvalue(), "png")


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


def _varying(jobs: Sequence[Job], keys: list[str]) -> list[str]:
    """The keys in which jobs differ."""
    return [key for key in keys if len(set(map(str, _values(jobs, key)))) > 1]


def _values(jobs: Sequence[Job], key: str) -> list[float | str]:
    """A value per job: numbers if all are, else text. Seeds are names: they have no order, and no line joins them."""
    values = [job.settings.get(key, DASH) for job in jobs]
    if key != SEED and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return values
    return [value if isinstance(value, str) else written(value) for value in values]
