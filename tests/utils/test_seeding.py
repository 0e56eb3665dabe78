import random

import numpy as np
import pytest
import torch

from mnist_vae.utils.seeding import Noise, derived_seed, seed_everything


@pytest.mark.parametrize("total", [1, 2, 5, 8])
@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_processes_draw_the_same_numbers_as_a_single_one(total: int, world_size: int, kind: str) -> None:
    def draw(rank: int, of: int) -> torch.Tensor:
        return getattr(Noise(total, rank, of, torch.Generator().manual_seed(1)), kind)(4)

    whole = draw(0, 1)
    assert whole.shape == (total, 4)
    for rank in range(world_size):
        assert torch.equal(draw(rank, world_size), whole[rank::world_size])


def test_without_a_generator_the_global_one_is_used() -> None:
    torch.manual_seed(3)
    expected = torch.randn(2, 5)
    torch.manual_seed(3)
    assert torch.equal(Noise(2).normal(5), expected)


def test_derived_seeds_differ_by_every_key() -> None:
    seeds = {derived_seed(0), derived_seed(1), *(derived_seed(0, epoch) for epoch in range(20)), derived_seed(0, 1, 1)}
    assert len(seeds) == 23


def test_seed_everything_seeds_all_three_generators() -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    seed_everything(5, 2)
    first = draws()
    seed_everything(5, 2)
    assert draws() == first
    seed_everything(5, 3)
    assert all(a != b for a, b in zip(draws(), first, strict=True))
