"""quality.png: test ELBO against seconds, of everything that the suite `quality` trained."""

import math

from matplotlib.figure import Figure

from benchmarks.quality import RUNS
from benchmarks.results import Results
from mnist_vae.figures.colours import GREY, INK, NAMES
from mnist_vae.figures.style import DPI, FONT, TITLE_COLOUR, style_axes
from mnist_vae.utils.text import MINUS

OTHERS = (INK, GREY)
COLOURS = [colour for colour in NAMES if colour not in OTHERS]
LOWEST = -150.0  # nats: below, every training is steep
LEVELS = (-106.0, -100.75)


def progress(results: Results, title: str) -> Figure:
    """A line for each seed of each training; time is logarithmic."""
    figure = Figure(figsize=(7, 4), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    ours, others = iter(COLOURS), iter(OTHERS)
    for name, curves in results.curves.items():
        colour = next(ours) if name in RUNS else next(others)
        for seed, points in enumerate(curves):
            shown = [(seconds, elbo) for seconds, elbo in points if elbo >= LOWEST and math.isfinite(elbo)]
            seconds, elbos = zip(*shown, strict=True) if shown else ((), ())
            axis.plot(seconds, elbos, color=colour, lw=0.9, alpha=0.8, label=name if seed == 0 else None)
            axis.plot(seconds[-1:], elbos[-1:], color=colour, marker="o", ms=3)
    for level in LEVELS:
        axis.axhline(level, color="0.8", lw=0.7, zorder=0)
        text = f" {level:g}".replace("-", MINUS)
        axis.annotate(text, (1, level), xycoords=("axes fraction", "data"), fontsize=FONT, va="center")
    axis.set_xscale("log")
    ticks = [seconds for seconds in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200) if seconds <= 2 * axis.get_xlim()[1]]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_xlabel("seconds since the first training step")
    axis.set_ylabel("test ELBO, nats per image", fontsize=FONT)
    axis.legend(fontsize=FONT, frameon=False, loc="lower right")
    style_axes(axis, "")
    figure.suptitle(title, x=0.01, ha="left", fontsize=FONT, color=TITLE_COLOUR)
    return figure
