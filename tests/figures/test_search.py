import math

import pytest

from mnist_vae.figures import hyperparameter_importance, pixels, search_history
from mnist_vae.figures.search import best_so_far
from tests.figures.helpers import parts


@pytest.mark.parametrize(("higher", "best"), [(True, [2, 2, 5, 5]), (False, [2, 1, 1, 0])])
def test_the_best_so_far_never_gets_worse(higher: bool, best: list[float]) -> None:
    assert best_so_far([2, 1, 5, 0], higher).tolist() == best
    figure = search_history([(0, 2), (1, 1), (3, 5), (4, 0)], [(2, 9)], higher, "val/elbo")
    (line,), (ended,), (stopped,) = (parts(figure, name) for name in ("best", "ended", "stopped"))
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([0, 1, 3, 4], best)
    assert ended.get_ydata().tolist() == [2, 1, 5, 0] and stopped.get_xdata().tolist() == [2]


def test_bars_are_in_the_given_order_from_the_top() -> None:
    figure = hyperparameter_importance({"lr": 0.7, "$depth_{": 0.3})
    (axis,) = figure.axes
    assert [bar.get_width() for bar in axis.patches] == [0.7, 0.3] and axis.yaxis_inverted()
    assert [label.get_text() for label in axis.get_yticklabels()] == ["lr", r"\$depth_{"]
    assert pixels(figure, dpi=40).std() > 0


def test_trials_without_a_number_can_be_drawn() -> None:
    assert pixels(search_history([(0, math.nan), (1, 1e308)], [(2, -math.inf)], True, "$x_{"), dpi=40).std() > 0
