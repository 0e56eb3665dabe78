"""The page's template, styles and scripts."""

from importlib.resources import files
from typing import Any

from bokeh.models import CustomJS

SCRIPTS = ("pointer.js", "stroke.js")  # those of every page


def read(name: str) -> str:
    """The content of a file in this folder."""
    return files("mnist_vae.explorer.templates").joinpath(name).read_text(encoding="utf-8")


def callback(name: str, /, **args: Any) -> CustomJS:
    """A callback in the browser: the function that a script of the page calls `callbacks.NAME`.

    The code itself is no ES module: Bokeh imports one at the first event, and once more at each event that comes before
    the import ends, so that each would have variables of its own.
    """
    return CustomJS(args=args, code=f"return window.callbacks.{name}({{{', '.join(args)}}}, cb_obj)")
