import pytest
import torch

from mnist_vae.analysis.encoding import BATCH_SIZE, encode_images
from mnist_vae.utils.pixels import to_unit
from tests.models.helpers import SHAPE, small_vae


@pytest.mark.parametrize("classes", [0, 4])
def test_encoding_in_batches_equals_encoding_at_once(classes: int) -> None:
    images = torch.randint(0, 256, (BATCH_SIZE + 7, *SHAPE), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    vae, labels = small_vae(classes=classes).train(), torch.arange(len(images)) % 4
    posterior = encode_images(vae, images, labels)
    expected = vae.encode(images.float() / 255, labels)
    assert posterior.mean.shape == posterior.log_var.shape == (BATCH_SIZE + 7, 3)
    for part, other in zip(posterior, expected, strict=True):
        torch.testing.assert_close(part, other.detach())
    assert vae.training and not posterior.mean.requires_grad


def test_grey_levels_are_scaled_to_the_unit_interval() -> None:
    assert to_unit(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == [0.0, torch.tensor(0.2).item(), 1.0]
