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
    assert names(figure) == ["a title", "originals", "reconstructions", *"0123456789", "samples", ""]
    pairs, samples = figure.axes
    assert len(pairs.images) == len(samples.images) == 1
    assert samples.images[0].get_array().shape[0] == pairs.images[0].get_array().shape[0]  # two whole rows each


def test_traversals_name_dimensions_and_positions() -> None:
    figure = figures.traversals(STACK, ["$z_4$", "$z_1$"], [-3, 0, 3])
    assert names(figure) == ["$z_4$", "$z_1$", "-3", "0", "+3"]


def test_interpolations_are_framed_by_the_original_images() -> None:
    figure = figures.interpolations(STACK, ramp(2), ramp(2))
    assert names(figure) == ["image", "0%", "50%", "100%", "image"]


def test_uncertainty_is_labelled_by_its_scale() -> None:
    deviations = 0.25 * ramp(3)
    figure = figures.uncertainty(ramp(3), ramp(3), deviations, list("abc"))
    assert "std, 0 to 0.25" in names(figure)
    image = figure.axes[1].images[0]
    assert image.norm.vmax == pytest.approx(0.25) and image.cmap.name == "magma"


def test_zero_uncertainty_can_be_drawn() -> None:
    drawn(figures.uncertainty(ramp(3), ramp(3), 0 * ramp(3), list("abc")))


def test_a_manifold_and_samples_fill_their_grids() -> None:
    many = np.stack([ramp(20)] * 20)
    assert figures.manifold(many).axes[0].images[0].get_array().shape == (20 * 56, 20 * 56)
    assert figures.samples(ramp(100)).axes[0].images[0].get_array().shape == (10 * 112 + 72, 10 * 112 + 72)


def test_cells_without_samples_are_blank() -> None:
    shown = figures.samples(np.zeros((7, 1, 28, 28)), columns=3).axes[0].images[0].get_array()
    assert shown.shape == (3 * 120 - 8, 3 * 120 - 8)
    assert not shown.mask[-50, 50] and shown.mask[-50, 170] and shown.mask[-50, 290]


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
