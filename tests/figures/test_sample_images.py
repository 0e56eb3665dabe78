import torch

from mnist_vae.figures.sample_images import SAMPLES, SampleImages
from tests.models.test_vae import SHAPE, small


def split(labels: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.randint(0, 256, (len(labels), *SHAPE), generator=torch.Generator().manual_seed(0))
    return images.to(torch.uint8), torch.tensor(labels)


def test_one_column_per_class_in_order() -> None:
    images, labels = split([3, 1, 3, 0, 1, 2])
    gallery = SampleImages.of(small(), (images, labels))
    assert gallery.labels == [0, 1, 2, 3]
    assert torch.equal((gallery.originals * 255).round().to(torch.uint8), images[[3, 1, 5, 0]])
    assert torch.equal(gallery.reconstructions, small().reconstruct(gallery.originals))


def test_samples_come_from_the_same_noise_whatever_happened_before() -> None:
    torch.manual_seed(1)
    one = SampleImages.of(small(), split([0, 1]))
    torch.manual_seed(2)
    torch.rand(10)
    two = SampleImages.of(small(), split([1, 0, 2]))
    assert len(one.samples) == SAMPLES and torch.equal(one.samples, two.samples)


def test_drawing_changes_nothing() -> None:
    vae = small().train()
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    gallery = SampleImages.of(vae, split([0, 1]))
    assert torch.equal(torch.rand(2), expected)
    assert vae.training and not gallery.samples.requires_grad
