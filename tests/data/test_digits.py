"""The embedded digits: their form, their framing and their split."""

import pytest
import torch
from torch.nn import functional

from mnist_vae.data.digits import DigitsSource
from mnist_vae.data.images import ImageArrays


@pytest.fixture(scope="module")
def digits() -> ImageArrays:
    return DigitsSource().load()


@pytest.fixture(scope="module")
def images(digits: ImageArrays) -> torch.Tensor:
    """Those of both splits, without their channel."""
    return torch.cat([digits.train_images, digits.test_images])[:, 0]


def test_digits_have_the_form_of_mnist(digits):
    assert [tensor.dtype for tensor in digits[:4]] == [torch.uint8, torch.int64] * 2
    assert [tensor.shape for tensor in digits[:4]] == [(1500, 1, 28, 28), (1500,), (297, 1, 28, 28), (297,)]
    assert all(tensor.is_contiguous() for tensor in digits[:4])
    assert digits.classes == tuple("0123456789")


def test_digits_split_is_balanced_disjoint_and_complete(digits, images):
    from sklearn.datasets import load_digits

    test = torch.bincount(digits.test_labels)
    share = test / (test + torch.bincount(digits.train_labels))
    assert (share - 297 / 1797).abs().max() < 1 / 174  # 174 images of the rarest digit: not one more or less
    assert len({image.tobytes() for image in load_digits().images}) == 1797  # or the next line would prove nothing
    assert len({image.numpy().tobytes() for image in images}) == 1797


def test_digits_are_shuffled_the_same_for_everyone(digits):
    assert digits.train_labels[:12].tolist() == [2, 8, 2, 6, 1, 9, 8, 2, 8, 6, 6, 6]
    assert digits.test_labels[:12].tolist() == [6, 7, 5, 0, 8, 4, 2, 6, 1, 7, 9, 3]
    torch.manual_seed(7)
    assert all(torch.equal(a, b) for a, b in zip(digits[:4], DigitsSource().load()[:4], strict=True))


def test_digits_are_neither_turned_nor_mislabelled(digits):
    """Most are nearest to the mean of those of scikit-learn's digits that have their label."""
    from sklearn.datasets import load_digits

    source = load_digits()
    originals, labels = torch.from_numpy(source.images).float(), torch.from_numpy(source.target)
    means = torch.stack([originals[labels == label].mean(0) for label in range(10)]).flatten(1)
    drawn = functional.adaptive_avg_pool2d(digits.train_images[:, 0, 4:24, 4:24].float(), 8).flatten(1) / 16
    nearest = torch.cdist(drawn, means).argmin(1)
    assert (nearest == digits.train_labels).float().mean() > 0.7  # 0.12 to 0.4 when turned or mirrored


def test_digits_are_framed_as_mnist_is(images):
    pixel = torch.arange(28.0, dtype=torch.double)
    mass = images.double().sum((1, 2))
    centres = torch.stack([images.double().sum(2) @ pixel, images.double().sum(1) @ pixel], dim=1) / mass[:, None]
    assert (centres - 13.5).abs().max() <= 1
    assert (centres.mean(0) - 14).abs().max() < 0.05  # where MNIST has it

    used = [(images > 0).any(axis).int() for axis in (2, 1)]  # which rows, which columns
    heights, widths = (28 - lines.argmax(1) - lines.flip(1).argmax(1) for lines in used)
    assert heights.float().mean() == pytest.approx(20, abs=0.25)
    assert heights.min() >= 18 and heights.max() <= 21 and widths.max() <= 21


def test_digits_have_mnists_grey_levels(images):
    assert (images.amax((1, 2)) == 255).all() and not images[:, [0, -1]].any() and not images[:, :, [0, -1]].any()
    assert float((images == 0).float().mean()) == pytest.approx(0.809, abs=0.02)
    grey = ((images > 0) & (images < 250)).sum() / (images > 0).sum()
    assert float(grey) == pytest.approx(0.615, abs=0.03)
    pixels = images.float() / 255
    assert (float(pixels.mean()), float(pixels.std())) == pytest.approx((0.1307, 0.3081), abs=0.01)
