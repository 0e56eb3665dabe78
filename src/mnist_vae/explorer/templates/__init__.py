"""The page's template, styles and scripts."""

from importlib.resources import files
from typing import Any

from bokeh.models import CustomJS

SCRIPTS = ("pointer.js", "stroke.js")  # those of every page


def read(name: str) -> str:
    """The content of a file in this folder."""
    return files("mnist_vae.explorer.templates").joinpath(name).read_text(encoding="utf-8")


def callback(name: str, /, **args: Any) -> CustomJS:
    """Run, in the browser, what a script of the page has assigned to `window.callbacks.NAME`, with args and the event.

    Its variables are the page's, for all callbacks of this name. In an ES module of Bokeh's they would be those of one
    import, of which Bokeh makes another one at each event that comes before the first has ended.
    """
    return CustomJS(args=args, code=f"return window.callbacks.{name}({{{', '.join(args)}}}, cb_obj)")
