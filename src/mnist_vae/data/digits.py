"""scikit-learn's embedded digits, drawn as MNIST draws its own."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mnist_vae.data.images import ImageArrays

DIGITS_TEST_SIZE = 297

# How the 8x8 digits are drawn: pixels of 28x28 per pixel of 8x8, and the levels that become black and white.
# Tuned until the height, mean, standard deviation and shares of black, grey and white were those of MNIST.
DIGITS_SCALE = 2.4
DIGITS_BLACK = 0.3
DIGITS_WHITE = 0.8


class DigitsSource:
    """scikit-learn's 1,797 digits of 8x8 pixels in MNIST's framing, 1,500 to train and 297 to test.

    They come with scikit-learn, so no network is needed: the test set of E. Alpaydin and C. Kaynak, "Optical
    Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """

    def load(self) -> ImageArrays:
        """Return both splits, stratified by label and the same for everyone."""
        from sklearn.datasets import load_digits  # takes a second, which the other source should not cost

        digits = load_digits()
        images = _in_mnist_framing(torch.from_numpy(digits.images).float() / 16)
        labels = torch.from_numpy(digits.target).long()
        train, test = _stratified_split(digits.target, DIGITS_TEST_SIZE)
        return ImageArrays(images[train], labels[train], images[test], labels[test])


def _in_mnist_framing(images: Tensor) -> Tensor:
    """Draw (N, 8, 8) in 0..1 as uint8 (N, 1, 28, 28), 20 pixels high, centre of mass at pixel (14, 14)."""
    count, size, _ = images.shape
    zoom = 28 / (size * DIGITS_SCALE)
    pixel_14 = (14 * 2 + 1) / 28 - 1
    shift = _centre_of_mass(_stretch_contrast(images)) - zoom * pixel_14
    transform = torch.cat([torch.eye(2).mul(zoom).expand(count, 2, 2), shift[:, :, None]], dim=2)
    grid = functional.affine_grid(transform, [count, 1, 28, 28], align_corners=False)
    drawn = functional.grid_sample(images[:, None], grid, mode="bicubic", align_corners=False)
    # Interpolation blurs the edges of a stroke, which are a pixel wide in MNIST.
    return (_stretch_contrast(drawn) * 255).round().to(torch.uint8)


def _centre_of_mass(images: Tensor) -> Tensor:
    """Return (N, 2), x before y, in grid_sample's coordinates: -1 and 1 are the outer edges of the image."""
    size = images.shape[-1]
    coordinates = (torch.arange(size) * 2 + 1) / size - 1
    moments = torch.stack([images.sum(1) @ coordinates, images.sum(2) @ coordinates], dim=1)
    return moments / images.sum((1, 2))[:, None]


def _stretch_contrast(images: Tensor) -> Tensor:
    return ((images - DIGITS_BLACK) / (DIGITS_WHITE - DIGITS_BLACK)).clamp(0, 1)


def _stratified_split(labels: np.ndarray, test_size: int) -> tuple[Tensor, Tensor]:
    """Return the indices to train and to test on, shuffled by a fixed seed, labels in proportion in both."""
    # NumPy promises never to change RandomState's stream; scikit-learn promises nothing of its split.
    shuffled = np.random.RandomState(0).permutation(len(labels))
    by_label = np.argsort(labels[shuffled], kind="stable")
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[by_label[np.arange(test_size) * len(labels) // test_size]] = True
    return torch.from_numpy(shuffled[~is_test]), torch.from_numpy(shuffled[is_test])
