from itertools import combinations

import numpy as np
import pytest

from mnist_vae.figures.colours import CLASSES, SPLITS, class_colours, to_unit_rgb
from tests.figures.test_palette import VISIONS, lab, linear


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("colours", [CLASSES, tuple(SPLITS.values())], ids=["classes", "splits"])
def test_they_can_be_told_apart(vision: str, colours: tuple[str, ...]) -> None:
    seen = [lab(VISIONS[vision] @ linear(colour)) for colour in colours]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 15


def test_colours_of_more_classes_than_there_are_colours_repeat() -> None:
    assert class_colours(12) == [*CLASSES, *CLASSES[:2]]


def test_colours_as_numbers() -> None:
    assert np.allclose(to_unit_rgb(["#ff0080"]), [[1, 0, 128 / 255]])
