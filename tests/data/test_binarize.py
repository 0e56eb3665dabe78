import torch

from mnist_vae.data.binarize import Binarize, binarize
from mnist_vae.utils.seeding import Noise


def test_threshold_and_none() -> None:
    x = torch.tensor([[0.0, 0.5, 0.51, 1.0]])
    assert binarize(x, Binarize.threshold, Noise(1)).tolist() == [[0, 0, 1, 1]]
    assert binarize(x, Binarize.none, Noise(1)) is x


def test_dynamic_bits_have_the_grey_levels_as_means() -> None:
    levels = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
    x = levels.expand(50_000, 5)
    bits = binarize(x, Binarize.dynamic, Noise(50_000, generator=torch.Generator().manual_seed(0)))
    assert set(bits.unique().tolist()) == {0, 1}
    standard_error = (levels * (1 - levels) / 50_000).sqrt()
    assert ((bits.mean(0) - levels).abs() <= 5 * standard_error).all()
