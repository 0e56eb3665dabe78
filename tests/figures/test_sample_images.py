import torch

from mnist_vae.figures.sample_images import SAMPLES, SampleImages, labels_in_turn
from tests.models.helpers import random_split, small_vae


def test_originals_are_the_first_image_of_each_class_in_order() -> None:
    images, labels = random_split([3, 1, 3, 0, 1, 2])
    sample_images = SampleImages.of(small_vae(), (images, labels))
    assert sample_images.labels == [0, 1, 2, 3]
    assert torch.equal((sample_images.originals * 255).round().to(torch.uint8), images[[3, 1, 5, 0]])
    assert torch.equal(sample_images.reconstructions, small_vae().reconstruct(sample_images.originals))


def test_samples_do_not_depend_on_the_global_generator() -> None:
    torch.manual_seed(1)
    one = SampleImages.of(small_vae(), random_split([0, 1]))
    torch.manual_seed(2)
    torch.rand(10)
    two = SampleImages.of(small_vae(), random_split([1, 0, 2]))
    assert len(one.samples) == SAMPLES and torch.equal(one.samples, two.samples)


def test_sample_images_have_no_side_effects() -> None:
    vae = small_vae().train()
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    sample_images = SampleImages.of(vae, random_split([0, 1]))
    assert torch.equal(torch.rand(2), expected)
    assert vae.training and not sample_images.samples.requires_grad


def test_labels_in_turn_repeat_for_conditional_models_only() -> None:
    labels = labels_in_turn(small_vae(classes=4), 10)
    assert labels is not None and labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert labels_in_turn(small_vae(), 10) is None
