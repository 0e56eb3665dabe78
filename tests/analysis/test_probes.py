import numpy as np
import pytest

from mnist_vae.analysis.probes import CLASSIFIERS


def clusters(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, n)
    return np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])[labels] + generator.normal(size=(n, 2)), labels


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_accuracy_on_separated_classes_and_on_noise(name: str) -> None:
    (train, labels), (test, expected) = clusters(600, 0), clusters(600, 1)
    predicted = CLASSIFIERS[name](train, labels, test)
    assert (predicted == expected).mean() > 0.99
    noise = np.random.default_rng(2).normal(size=(2, 600, 5))
    assert (CLASSIFIERS[name](noise[0], labels, noise[1]) == expected).mean() == pytest.approx(1 / 3, abs=0.08)


def test_a_ring_is_separated_by_neighbours_but_not_linearly() -> None:
    generator = np.random.default_rng(0)
    labels = np.tile([0, 1], 500)
    angle = generator.uniform(0, 2 * np.pi, 1000)
    radius = np.where(labels == 1, 5.0, 0.5)
    codes = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    scores = {
        name: (classify(codes[:800], labels[:800], codes[800:]) == labels[800:]).mean()
        for name, classify in CLASSIFIERS.items()
    }
    assert scores["knn"] == 1 and scores["logistic_regression"] < 0.8
