import numpy as np
import pytest

from mnist_vae.figures import pixels
from mnist_vae.figures.sample_quality import sample_quality
from tests.figures.helpers import parts

BETA, ELBO = [4.0, 0.25, 1.0, 0.5], [-120.0, -112.0, -104.0, -107.0]
DISTANCE, PRECISION, RECALL = [200.0, 300.0, 150.0, 250.0], [0.8, 0.4, 0.7, 0.5], [0.3, 0.6, 0.7, 0.65]


def test_runs_are_joined_by_rising_beta_at_their_elbo() -> None:
    figure = sample_quality(BETA, ELBO, DISTANCE, PRECISION, RECALL)
    expected = ([300, 250, 150, 200], [0.4, 0.5, 0.7, 0.8], [0.6, 0.65, 0.7, 0.3])
    for line, values in zip(parts(figure, "curve"), expected, strict=True):
        assert np.allclose(line.get_xdata(), [-112, -107, -104, -120]) and np.allclose(line.get_ydata(), values)
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["precision", "recall"]


def test_each_point_is_labelled_by_its_beta_within_the_figure() -> None:
    figure = sample_quality(BETA, ELBO, DISTANCE, PRECISION, RECALL)
    pixels(figure)
    for axis in figure.axes:
        labels = [text for text in axis.texts if text.get_gid() == "beta"]
        assert {text.get_text() for text in labels} == {"0.25", "0.5", "1", "4"}
        for text in labels:
            assert text.xy[0] == ELBO[BETA.index(float(text.get_text()))] and text.get_fontsize() >= 8
            assert figure.bbox.contains(*text.get_window_extent().min) and figure.bbox.contains(
                *text.get_window_extent().max
            )


@pytest.mark.parametrize("count", [1, 2])
def test_few_runs_can_be_drawn(count: int) -> None:
    drawn = sample_quality(BETA[:count], ELBO[:count], DISTANCE[:count], PRECISION[:count], RECALL[:count])
    assert pixels(drawn).std() > 0
