"""Colours, the same in every figure, page and log: of the classes, of the splits, and of names without an order."""

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
# Okabe and Ito (2008), Color Universal Design, with a darker light blue, without their yellow, which is faint on white,
# and with their orange, the faintest of the others, as the last one.
NAMES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#1a1a1a", "#3a9bd5", "#e69f00")
BLUE, RED, INK, GREY = NAMES[0], NAMES[1], NAMES[4], "#8c8c8c"
SPLITS = {"train": BLUE, "val": RED, "test": INK}


def class_colours(classes: int) -> list[str]:
    """Colour of each class as #rrggbb; with more than ten they repeat."""
    return [CLASSES[label % len(CLASSES)] for label in range(classes)]


def to_unit_rgb(colours: list[str]) -> np.ndarray:
    """Colours #rrggbb as (colours, 3) in [0, 1], float32."""
    return np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours], dtype=np.float32)
