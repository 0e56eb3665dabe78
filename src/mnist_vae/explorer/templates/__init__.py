"""The page's template, styles and scripts."""

from importlib.resources import files
from typing import Any

from bokeh.models import CustomJS

SCRIPTS = ("pointer.js", "stroke.js")  # those of every page


def read(name: str) -> str:
    """The content of a file in this folder."""
    return files("mnist_vae.explorer.templates").joinpath(name).read_text(encoding="utf-8")


def callback(name: str, /, **args: Any) -> CustomJS:
    """Make a callback that calls `window.callbacks.<name>`, set by a script of the page, with args and the event.

    The script's variables belong to the page, so all callbacks of one name share them. Bokeh would import an ES module
    anew, with variables of its own, at each event that comes before the first import has ended.
    """
    return CustomJS(args=args, code=f"return window.callbacks.{name}({{{', '.join(args)}}}, cb_obj)")
