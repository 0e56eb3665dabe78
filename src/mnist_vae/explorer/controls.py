"""Controls of the page, and what they call."""

from collections.abc import Callable
from typing import Any

from bokeh.model import Model
from bokeh.models import Button

NO_SCROLLING = {"touch-action": "none"}  # a finger draws, or drags, instead
WRAP = {"flex-wrap": "wrap", "align-items": "end"}  # a row that has several lines on a narrow page


def button(label: str, name: str, callback: Callable[[], object]) -> Button:
    """A button that calls a function."""
    made = Button(label=label, name=name)
    made.on_click(lambda _: callback())
    return made


def on_change(model: Model, attribute: str, callback: Callable[[Any], object]) -> None:
    """Call a function with each new value of an attribute."""

    def changed(attr: str, old: object, new: object) -> None:  # Bokeh wants these names
        callback(new)

    model.on_change(attribute, changed)
