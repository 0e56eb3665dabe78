import pytest
import torch

from mnist_vae.data.images import ImageArrays, mean_pixel


def test_the_classes_are_digits_unless_a_dataset_has_names() -> None:
    splits = torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)
    assert ImageArrays(*splits, *splits).classes == tuple("0123456789")
    assert ImageArrays(*splits, *splits, classes=("shirt", "coat")).classes == ("shirt", "coat")


def test_the_mean_pixel_is_that_of_each_channel() -> None:
    images = torch.zeros(2500, 2, 3, 4, dtype=torch.uint8)
    images[:, 0], images[:5, 1] = 51, 255
    assert mean_pixel(images) == pytest.approx([0.2, 0.002])
