"""The page's template, styles and scripts."""

from importlib.resources import files


def read(name: str) -> str:
    """The content of a file in this folder."""
    return files("mnist_vae.explorer.templates").joinpath(name).read_text(encoding="utf-8")
