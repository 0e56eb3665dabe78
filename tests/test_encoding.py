import torch

from mnist_vae.encoding import BATCH, encode_images, to_unit
from tests.test_vae import SHAPE, small


def test_many_images_are_encoded_as_one_batch_would_be() -> None:
    images = torch.randint(0, 256, (BATCH + 7, *SHAPE), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    vae = small().train()
    posterior = encode_images(vae, images)
    expected = vae.encode(images.float() / 255)
    assert posterior.mean.shape == posterior.log_var.shape == (BATCH + 7, 3)
    for part, other in zip(posterior, expected, strict=True):
        torch.testing.assert_close(part, other.detach())
    assert vae.training and not posterior.mean.requires_grad


def test_grey_levels_become_shares() -> None:
    assert to_unit(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist() == [0.0, torch.tensor(0.2).item(), 1.0]
