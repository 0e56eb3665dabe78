import math

import numpy as np
import pytest

from mnist_vae.figures import pixels
from mnist_vae.figures.sample_quality import sample_quality
from tests.figures.helpers import parts

BETA, ELBO = [4.0, 0.25, 1.0, 0.5], [-120.0, -112.0, -104.0, -107.0]
DISTANCE, PRECISION, RECALL = [200.0, 300.0, 150.0, 250.0], [0.8, 0.4, 0.7, 0.5], [0.3, 0.6, 0.7, 0.65]
CURVE = [1, 3, 2, 0]


def test_every_run_is_a_point_and_those_of_a_curve_are_joined_in_its_order() -> None:
    figure = sample_quality(ELBO, DISTANCE, PRECISION, RECALL, [CURVE], BETA)
    for line, values in zip(parts(figure, "points"), (DISTANCE, PRECISION, RECALL), strict=True):
        assert np.allclose(line.get_xdata(), ELBO) and np.allclose(line.get_ydata(), values)
    joined = [line for axis in figure.axes for line in axis.lines if line.get_gid() != "points"]
    assert [line.get_xdata().tolist() for line in joined] == [[-112, -107, -104, -120]] * 3
    assert [line.get_ydata()[0] for line in joined] == [300, 0.4, 0.6]
    points = parts(figure, "points")
    assert [line.get_color() for line in joined] == [line.get_color() for line in points]
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["precision", "recall"]


def test_each_point_is_labelled_by_its_beta_and_no_two_labels_overlap() -> None:
    figure = sample_quality(ELBO, DISTANCE, PRECISION, RECALL, [CURVE], BETA)
    pixels(figure)
    for axis, series in zip(figure.axes, (1, 2), strict=True):
        labels = [text for text in axis.texts if text.get_gid() == "beta"]
        assert sorted(text.get_text() for text in labels) == sorted(["0.25", "0.5", "1", "4"] * series)
        boxes = [text.get_window_extent() for text in labels]
        for place, (text, box) in enumerate(zip(labels, boxes, strict=True)):
            assert text.xy[0] == ELBO[BETA.index(float(text.get_text()))] and text.get_fontsize() >= 8
            assert figure.bbox.contains(*box.min) and figure.bbox.contains(*box.max)
            assert not any(box.overlaps(other) for other in boxes[place + 1 :])


@pytest.mark.parametrize("distance", [150.0, math.nan])
def test_a_single_run_is_drawn_without_labels_and_a_missing_number_is_left_out(distance: float) -> None:
    figure = sample_quality([-100.0], [distance], [0.5], [0.4])
    assert pixels(figure).std() > 0 and not any(axis.texts for axis in figure.axes)
