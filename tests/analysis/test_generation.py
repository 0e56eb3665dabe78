import pytest
import torch

from mnist_vae.analysis import generation
from tests.models.helpers import SHAPE, random_split, small_vae


def test_samples_are_reproducible_and_are_the_decoded_codes() -> None:
    vae = small_vae()
    codes, images = generation.sample(vae, 12, seed=3)
    assert codes.shape == (12, 3) and images.shape == (12, *SHAPE)
    torch.testing.assert_close(images, vae.decode(codes).detach())
    assert torch.equal(images, generation.sample(vae, 12, seed=3)[1])
    assert not torch.equal(images, generation.sample(vae, 12, seed=4)[1])
    torch.testing.assert_close(generation.sample(vae, 12, seed=3, temperature=0.5)[0], 0.5 * codes)


@pytest.mark.parametrize(("labels", "pairs"), [([1, 2], 1), ([2], 1), ([0, 1, 2], 2), ([2, 2], 1)])
def test_variations_are_of_images_with_the_labels(labels: list[int], pairs: int) -> None:
    vae = small_vae()
    images, all_labels = random_split([0, 1, 2] * 20 + [3])
    made = generation.vary(vae, (images, all_labels), labels, seed=0)
    n, k = len(labels), generation.PER_LABEL
    assert made.originals.shape == made.reconstructions.shape == (n, k, *SHAPE)
    assert made.interpolations.shape == (pairs, generation.PATHS, generation.STEPS, *SHAPE)
    assert made.variations.shape == (n, generation.VARIATIONS, *SHAPE)
    known = {label: images[all_labels == label].float() / 255 for label in (0, 1, 2)}
    for row, label in enumerate(labels):
        assert all(any(torch.allclose(image, other) for other in known[label]) for image in made.originals[row])
    torch.testing.assert_close(made.reconstructions[0], vae.reconstruct(made.originals[0]).detach())
    ends = made.interpolations[0, :, 0], made.interpolations[0, :, -1]
    torch.testing.assert_close(ends[0], made.reconstructions[0, : generation.PATHS])
    last = (
        made.reconstructions[1, : generation.PATHS]
        if n > 1
        else made.reconstructions[0, generation.PATHS :][: generation.PATHS]
    )
    torch.testing.assert_close(ends[1], last)


def test_variations_at_zero_temperature_are_the_reconstruction() -> None:
    made = generation.vary(small_vae(), random_split([0, 1] * 10), [0, 1], seed=0, temperature=0.0)
    for row in (0, 1):
        torch.testing.assert_close(made.variations[row], made.reconstructions[row, :1].expand(9, -1, -1, -1))


def test_a_label_with_few_images_repeats_them() -> None:
    made = generation.vary(small_vae(), random_split([0, 0, 1]), [1], seed=0)
    assert (made.originals == made.originals[:, :1]).all()
