"""Grey levels as numbers in [0, 1]."""

import torch
from torch import Tensor


def to_unit(images: Tensor) -> Tensor:
    """uint8 grey levels as float32 in [0, 1], of the same shape; images of another type are returned as they are."""
    return images.to(torch.float32).div_(255) if images.dtype == torch.uint8 else images
