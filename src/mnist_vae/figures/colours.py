"""Colours with a fixed meaning, the same in every figure, page and log: of the classes, and of the splits."""

import numpy as np

# Petroff (2021), "Accessible color sequences for data visualization": ten that differ with any colour vision. An indigo
# stands in the place of the second of its two greys, which small dots do not tell apart.
CLASSES = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#3d4ff0",
    "#92dadd",
)
# Of Okabe and Ito (2008), as those of figures.palette.
SPLITS = {"train": "#0072b2", "val": "#d55e00", "test": "#1a1a1a"}


def class_colours(classes: int) -> list[str]:
    """Colour of each class as #rrggbb; with more than ten they repeat."""
    return [CLASSES[label % len(CLASSES)] for label in range(classes)]


def to_unit_rgb(colours: list[str]) -> np.ndarray:
    """Colours #rrggbb as (colours, 3) in [0, 1], float32."""
    return np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours], dtype=np.float32)
