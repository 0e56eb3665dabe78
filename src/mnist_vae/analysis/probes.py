"""What a representation is good for: how well simple classifiers read the class from it."""

from collections.abc import Callable

import numpy as np

NEIGHBOURS = 5


def knn(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Labels of the test codes by the majority of their nearest training codes in Euclidean distance.

    Codes are taken as they are: the prior gives their scale, and dimensions that carry nothing hardly count.

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
    """Labels of the test codes by multinomial logistic regression, scikit-learn's with its usual penalty.

    Arguments and result as for `knn`.
    """
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000).fit(train, train_labels).predict(test)


CLASSIFIERS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "knn": knn,
    "logistic_regression": logistic_regression,
}
