"""Classifiers that predict labels from codes: a linear probe and k nearest neighbours."""

from collections.abc import Callable

import numpy as np

NEIGHBOURS = 5


def knn(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predict labels by the majority of the NEIGHBOURS nearest training codes in Euclidean distance.

    Codes are not standardised: their scale is that of the prior, and that of inactive dimensions is small.

    Args:
        train, test: posterior means, (images, latent_dim).
        train_labels: (images,).

    Returns:
        Predicted labels, (test images,).
    """
    from sklearn.neighbors import KNeighborsClassifier

    neighbours = min(NEIGHBOURS, len(train))
    return KNeighborsClassifier(neighbours, algorithm="brute").fit(train, train_labels).predict(test)


def logistic_regression(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predict labels by a linear probe: multinomial logistic regression with scikit-learn's default L2 penalty.

    Arguments and return value are those of `knn`.
    """
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000).fit(train, train_labels).predict(test)


CLASSIFIERS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "knn": knn,
    "logistic_regression": logistic_regression,
}
