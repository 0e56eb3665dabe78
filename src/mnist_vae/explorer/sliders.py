"""A slider for each latent dimension, the most informative first; inactive ones are folded away."""

import math
from collections.abc import Callable
from functools import partial

from bokeh.layouts import column
from bokeh.models import Div, Slider, Toggle
from torch import Tensor

from mnist_vae.explorer.controls import on_change
from mnist_vae.explorer.explored_run import ExploredRun

MOST = 128  # sliders
STEP = 0.05
DIGITS = 5  # of a value, behind the point
ERROR = 1e-5
STEPS = 1000  # of a slider, at most


class Sliders:
    """Sliders for the dimensions of a code.

    Attributes:
        sliders: the sliders, by the index of their dimension.
        layout: what is to be laid out on the page.
    """

    def __init__(self, run: ExploredRun) -> None:
        low, high = run.limits
        self.sliders: dict[int, Slider] = {}
        self.shown = dict.fromkeys(run.dimensions[:MOST], 0.0)
        for j in run.dimensions[:MOST]:
            step = max(STEP, 10.0 ** math.ceil(math.log10(max(float(high[j] - low[j]), STEP) / STEPS)))
            start, end = _rounded_out(float(low[j]), float(high[j]), step)
            self.sliders[j] = Slider(
                start=start,
                end=end,
                step=step,
                value=0.0,
                title=_title(run, j),
                sizing_mode="stretch_width",
                name=f"z{j + 1}",
            )
        shown = [slider for j, slider in self.sliders.items() if run.active[j]]
        folded = [slider for j, slider in self.sliders.items() if not run.active[j]]
        self.layout = column(*shown, sizing_mode="stretch_width")
        if folded:
            hidden = column(*folded, sizing_mode="stretch_width", visible=not shown)
            toggle = Toggle(label=_count(len(folded)), active=not shown, name="inactive")
            toggle.js_link("active", hidden, "visible")
            self.layout.children += [toggle, hidden]
        if len(run.dimensions) > MOST:
            self.layout.children.append(Div(text=f"{len(run.dimensions) - MOST} less informative ones have no slider"))

    def set(self, z: Tensor) -> None:
        """Move the sliders to a code (latent_dim,), without calling the function of `on_change`."""
        for (j, slider), value in zip(self.sliders.items(), z[list(self.sliders)].tolist(), strict=True):
            # Only if it differs by more than float32's error: an answer to a slider that is being moved comes late, and
            # would move it back.
            differs = abs(slider.value - value) > ERROR
            self.shown[j] = min(max(round(value, DIGITS), slider.start), slider.end) if differs else slider.value
            slider.value = self.shown[j]

    def on_change(self, callback: Callable[[int, float], None]) -> None:
        """Call a function with the dimension and the value of a slider that was moved."""

        def moved(j: int, value: float) -> None:
            if value != self.shown[j]:  # the page's own changes are reported too, and later
                callback(j, value)

        for j, slider in self.sliders.items():
            on_change(slider, "value", partial(moved, j))


def _title(run: ExploredRun, j: int) -> str:
    if run.kl is not None:
        return f"z{j + 1} ({run.kl[j]:.2f} nats)"
    return f"z{j + 1} (no KL of its own; its means' standard deviation: {run.posterior.mean[:, j].std():.2f})"


def _count(inactive: int) -> str:
    return f"{inactive} inactive dimension{'s' if inactive > 1 else ''}"


def _rounded_out(low: float, high: float, step: float) -> tuple[float, float]:
    """Ends of a slider that holds both values."""
    return round(math.floor(low / step) * step, DIGITS), round(math.ceil(high / step) * step, DIGITS)
