import numpy as np
import pytest
from matplotlib.colors import to_hex

from mnist_vae import figures
from mnist_vae.figures.latent import ACTIVE, INACTIVE
from tests.figures.helpers import parts


def points(figure) -> list[np.ndarray]:
    """Points of each class, identified by their colour, sorted."""
    drawn, *samples = figure.axes[0].collections
    offsets, colours = np.asarray(drawn.get_offsets()), drawn.get_facecolors()[:, :3]
    found = [offsets[np.isclose(colours, sample.get_facecolors()[0, :3]).all(axis=1)] for sample in samples]
    assert sum(map(len, found)) == len(offsets)
    return [ordered(part) for part in found]


def ordered(rows: np.ndarray) -> np.ndarray:
    return rows[np.lexsort(rows.T[::-1])]


LABELS = np.array([0, 1, 2, 0, 1, 2])


def test_two_dimensions_are_shown_without_projection() -> None:
    means = np.random.default_rng(0).normal(size=(6, 2))
    figure = figures.latent_space(means, LABELS, ["a", "b", "c"], "title")
    for label, shown in enumerate(points(figure)):
        assert np.allclose(shown, ordered(means[label == LABELS]))
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["a", "b", "c"]


def test_one_dimension_is_a_line_for_each_class() -> None:
    means = np.arange(6.0)[:, None]
    figure = figures.latent_space(means, LABELS, ["a", "b", "c"])
    for label, shown in enumerate(points(figure)):
        assert np.allclose(shown[:, 0], means[label == LABELS, 0])
        assert (np.abs(shown[:, 1] - label) < 0.5).all()
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]


def test_more_dimensions_are_shown_by_principal_components_with_their_shares() -> None:
    generator = np.random.default_rng(0)
    # Independent, with variances 9, 4 and 1 in rotated directions: fractions 9/14 and 4/14.
    sources = generator.normal(size=(20_000, 3)) * [3, 2, 1]
    rotation = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    labels = generator.integers(0, 2, 20_000)
    figure = figures.latent_space(sources @ rotation + 5, labels, ["a", "b"])
    shown = np.concatenate(points(figure))
    assert shown.std(axis=0) == pytest.approx([3, 2], rel=0.03)
    axis = figure.axes[0]
    shares = [float(label.split("(")[1].split("%")[0]) for label in (axis.get_xlabel(), axis.get_ylabel())]
    assert shares == pytest.approx([900 / 14, 400 / 14], abs=1)


def test_classes_are_drawn_in_random_order() -> None:
    labels = np.repeat([0, 1], 500)
    drawn = figures.latent_space(np.zeros((1000, 2)), labels, ["a", "b"]).axes[0].collections[0]
    reds = drawn.get_facecolors()[:, 0]
    assert abs((reds[:500] == reds.max()).mean() - 0.5) < 0.1


@pytest.mark.parametrize("latent_dim", [2, 6])
def test_circles_are_around_the_origin_of_the_latent_space(latent_dim: int) -> None:
    means = np.random.default_rng(0).normal(3, 1, size=(5000, latent_dim))
    means[0] = 0
    labels = np.arange(5000).clip(0, 1)
    figure = figures.latent_space(means, labels, ["origin", "others"], prior="standard_normal")
    (origin,) = points(figure)[0]
    for radius, circle in enumerate(parts(figure, "prior"), start=1):
        assert np.linalg.norm(circle.get_xydata() - origin, axis=1) == pytest.approx(radius)
    assert "1, 2, 3 standard deviations" in figure.get_suptitle()


@pytest.mark.parametrize("latent_dim", [2, 6])
def test_lines_around_samples_of_a_prior_are_its_circles_if_it_is_normal(latent_dim: int) -> None:
    generator = np.random.default_rng(0)
    means, prior = generator.normal(size=(500, latent_dim)), generator.normal(size=(50_000, latent_dim))
    figure = figures.latent_space(means, np.zeros(500, int), ["a"], prior=prior)
    centre = (
        np.zeros(2)
        if latent_dim == 2
        else parts(figures.latent_space(means, np.zeros(500, int), ["a"], prior="standard_normal"), "prior")[0]
        .get_xydata()[:-1]
        .mean(axis=0)
    )
    outermost, middle, inner = figure.axes[0].collections[-1].get_paths()
    for path, radius in ((inner, 1), (middle, 2)):
        assert np.linalg.norm(path.vertices - centre, axis=1).mean() == pytest.approx(radius, rel=0.1)
    assert np.linalg.norm(outermost.vertices - centre, axis=1).mean() > 2.5


@pytest.mark.parametrize("samples", [np.zeros((100, 5)), np.eye(5)[[0] * 50 + [1] * 50]])
def test_a_prior_that_is_a_few_points_can_be_drawn(samples: np.ndarray) -> None:
    figures.latent_space(
        np.random.default_rng(0).normal(size=(6, 5)), LABELS, ["a", "b", "c"], "", samples
    ).canvas.draw()


def test_collapsed_means_can_be_drawn() -> None:
    figures.latent_space(np.zeros((6, 5)), LABELS, ["a", "b", "c"]).canvas.draw()


def test_kl_bars_are_sorted_numbered_and_grey_if_inactive() -> None:
    kl, active = np.array([0.5, 0.0, 2.0]), np.array([True, False, True])
    axis = figures.kl_per_dimension(kl, active).axes[0]
    assert [bar.get_height() for bar in axis.patches] == [2.0, 0.5, 0.0]
    assert [to_hex(bar.get_facecolor()) for bar in axis.patches] == [to_hex(c) for c in (ACTIVE, ACTIVE, INACTIVE)]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["3", "1", "2"]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["active", "not active"]
    assert [to_hex(patch.get_facecolor()) for patch in axis.get_legend().get_patches()] == [ACTIVE]
    (dots,) = axis.get_lines()
    assert dots.get_xydata().tolist() == [[2, 0]] and dots.get_color() == INACTIVE  # its bar cannot be seen
    assert figures.kl_per_dimension(kl, np.ones(3, dtype=bool)).axes[0].get_legend() is None


def test_the_legend_has_only_kinds_that_exist() -> None:
    legend = figures.kl_per_dimension(np.zeros(3), np.zeros(3, dtype=bool)).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["not active"]


def test_many_bars_are_not_numbered() -> None:
    axis = figures.kl_per_dimension(np.ones(100), np.ones(100, dtype=bool)).axes[0]
    assert len(axis.patches) == 100 and not axis.get_xticklabels()
