"""Sums over batches and processes, against the closed form."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mnist_vae.objectives import Terms
from mnist_vae.training.accumulators import LatentVariance, TermSums


class Processes:
    """In the place of a strategy: adds what other processes would have."""

    def __init__(self, *others: Tensor) -> None:
        self.others = others

    def reduce(self, value: Tensor, reduce_op: str) -> Tensor:
        assert reduce_op == "sum"
        return sum(self.others, start=value)


ALONE: Any = Processes()


def terms(*values: float) -> Terms:
    """Terms of images whose losses are these, with twice that as reconstruction, and three times that as KL."""
    loss = torch.tensor(values, requires_grad=True)
    return Terms(loss, 2 * loss, 3 * loss)


def test_sums_are_collected_step_by_step() -> None:
    sums = TermSums()
    assert not sums.is_pending
    sums.add(terms(1.0, 2.0), 2)
    sums.add(terms(4.0), 1)
    assert sums.is_pending and sums.steps == 0
    steps, images = sums.collect(ALONE)
    assert steps.tolist() == [[3, 6, 9], [4, 8, 12]] and steps.dtype == torch.float64 and images == 3
    assert not sums.is_pending and not steps.requires_grad
    sums.add(terms(5.0), 1)
    steps, images = sums.collect(ALONE)
    assert steps.tolist() == [[5, 10, 15]] and images == 1  # of the last collection
    assert sums.total.tolist() == [12, 24, 36] and (sums.images, sums.steps) == (4, 3)


def test_sums_are_those_of_all_processes() -> None:
    sums = TermSums()
    sums.add(terms(1.0, 2.0), 5)  # of a batch of five
    steps, images = sums.collect(Processes(torch.tensor([[10.0, 20.0, 30.0]])))  # type: ignore[arg-type]
    assert steps.tolist() == [[13, 26, 39]] and images == 5 and sums.total.tolist() == [13, 26, 39]


def test_the_sum_of_an_epoch_is_in_double_precision() -> None:
    sums = TermSums()
    for value in (2.0**24, 1.0, 1.0):
        sums.add(terms(value), 1)
    sums.collect(ALONE)
    assert sums.total[0] == 2**24 + 2  # 2**24 in float32


@pytest.mark.parametrize("sizes", [(12,), (5, 7), (1, 4, 7)])
def test_the_variance_is_that_of_all_images(sizes: tuple[int, ...]) -> None:
    means = torch.randn(12, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.1, 0.0]) + 5
    variance = LatentVariance()
    for part in means.split(list(sizes)):
        variance.add(part)
    torch.testing.assert_close(variance.compute(ALONE), means.double().var(dim=0, correction=0))


def test_the_variance_is_that_of_the_images_of_all_processes() -> None:
    means = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    mine, other = LatentVariance(), LatentVariance()
    mine.add(means[:4])
    other.add(means[4:])
    processes: Any = Processes(other._sums)  # type: ignore[arg-type]
    torch.testing.assert_close(mine.compute(processes), means.double().var(dim=0, correction=0))
