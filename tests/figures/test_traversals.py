import matplotlib
import numpy as np
import pytest

from mnist_vae import figures
from tests.figures.helpers import drawn, ramp

STACK = np.stack([ramp(3), ramp(3)])  # (2, 3, 1, 28, 28)


def names(figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


@pytest.mark.parametrize("channels", [1, 3])
def test_results_have_labelled_originals_reconstructions_and_rows_of_samples(channels: int) -> None:
    images = ramp(10, channels)
    figure = figures.results(images, images, ramp(25, channels), list("0123456789"), "a title")
    assert names(figure) == [
        "a title",
        "originals",
        "reconstructions",
        *"0123456789",
        "samples from the prior",
    ]
    pairs, samples = figure.axes
    assert len(pairs.images) == len(samples.images) == 1
    assert samples.images[0].get_array().shape[0] == pairs.images[0].get_array().shape[0]  # two whole rows each


def test_samples_of_a_conditional_model_are_below_their_labels() -> None:
    figure = figures.results(ramp(2), ramp(2), ramp(7), ["a", "c"], sample_labels=["a", "b", "c"])
    heading = "samples from the prior, each column with its label"
    assert names(figure) == ["originals", "reconstructions", "a", "c", "a", "b", "c", heading]
    pairs, samples = (axis.images[0].get_array() for axis in figure.axes)
    assert samples.shape[1] > pairs.shape[1] and samples.shape[0] == pairs.shape[0]  # three columns, two rows


def test_traversals_name_dimensions_and_positions() -> None:
    figure = figures.traversals(STACK, ["$z_4$", "$z_1$"], [-3, 0, 3])
    assert names(figure) == ["$z_4$", "$z_1$", "\N{MINUS SIGN}3", "0", "+3"]


def test_interpolations_are_framed_by_the_original_images() -> None:
    figure = figures.interpolations(STACK, ramp(2), ramp(2))
    assert names(figure) == ["image", "0%", "50%", "100%", "image"]


def test_uncertainty_is_labelled_by_its_scale() -> None:
    deviations = 0.25 * ramp(3)
    figure = figures.uncertainty(ramp(3), ramp(3), deviations, list("abc"))
    assert "std, 0 to 0.25" in names(figure)
    darkest, brightest = (matplotlib.colormaps["magma"](value, bytes=True) for value in (0.0, 1.0))
    pixels = figure.axes[1].images[0].get_array()
    assert (pixels == darkest).all(axis=-1).any() and (pixels == brightest).all(axis=-1).any()


def test_zero_uncertainty_can_be_drawn() -> None:
    drawn(figures.uncertainty(ramp(3), ramp(3), 0 * ramp(3), list("abc")))


def test_a_manifold_and_samples_fill_their_grids() -> None:
    many = np.stack([ramp(20)] * 20)
    assert figures.manifold(many).axes[0].images[0].get_array().shape == (20 * 56, 20 * 56, 4)
    assert figures.samples(ramp(100)).axes[0].images[0].get_array().shape == (10 * 112 + 72, 10 * 112 + 72, 4)


def test_rows_of_samples_can_have_names() -> None:
    figure = figures.samples(ramp(6), 3, names=["a", "b"])
    first, second = (next(text for text in figure.texts if text.get_text() == name) for name in "ab")
    assert first.get_position()[1] > second.get_position()[1]


@pytest.mark.parametrize("channels", [1, 3])
def test_dark_samples_can_be_shown_in_a_scale_of_their_own(channels: int) -> None:
    dark = 0.2 * ramp(3, channels, size=7)
    middle = [drawn(figures.samples(dark, 3, largest=largest))[8 + 56, 16 + 240 + 56, 0] for largest in (1.0, 0.4, 0.2)]
    assert middle == pytest.approx([51, 128, 255], abs=1)


def test_codes_of_a_manifold_are_beside_their_images() -> None:
    codes = np.array([[-2.0, -1.0], [-0.5, -0.25], [0.5, 0.25], [2.0, 1.0]])
    figure = figures.manifold(np.zeros((4, 4, 1, 28, 28)), codes=codes)
    at = {
        text.get_text().replace("\N{MINUS SIGN}", "-"): text.get_position() for text in figure.texts if text.get_text()
    }
    assert list(at) == ["z₂ = 1.00", "z₂ = -1.00", "z₁ = -2.00", "z₁ = 2.00"]
    assert at["z₂ = 1.00"][1] > at["z₂ = -1.00"][1] and at["z₁ = 2.00"][0] > at["z₁ = -2.00"][0]


def test_cells_without_samples_are_blank() -> None:
    shown = figures.samples(np.zeros((7, 1, 28, 28)), columns=3).axes[0].images[0].get_array()
    assert shown.shape == (3 * 120 - 8, 3 * 120 - 8, 4)
    assert [shown[-50, column, 3] for column in (50, 170, 290)] == [255, 0, 0]


@pytest.mark.parametrize(
    ("labels", "label_pairs"), [(["3", "7"], ["3 to 7"]), (["4"], ["4 to 4"]), (["1", "2", "3"], ["1 to 2", "2 to 3"])]
)
def test_variations_label_their_rows(labels: list[str], label_pairs: list[str]) -> None:
    images = np.stack([ramp(4)] * len(labels))
    figure = figures.variations(
        labels, images, images, images[: len(label_pairs), None].repeat(2, axis=1), images[:, :3]
    )
    texts = names(figure)
    assert [text for text in texts if " to " in text] == label_pairs
    assert all(f"{label}, reconstructed" in texts and f"{label}, and variations" in texts for label in labels)
