import torch

from mnist_vae.utils.pixels import to_unit


def test_grey_levels_are_divided_by_255() -> None:
    unit = to_unit(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert unit.dtype == torch.float32 and unit.tolist() == [0.0, torch.tensor(0.2).item(), 1.0]


def test_floats_are_returned_as_they_are() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        images = torch.tensor([0.25, 1.0], dtype=dtype)
        assert to_unit(images) is images
