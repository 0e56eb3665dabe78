"""Digest of all that a stored result depends on."""

import hashlib
from collections.abc import Iterable

from torch import Tensor


def digest(settings: str, tensors: Iterable[Tensor]) -> str:
    """SHA-256 of settings and of the values of tensors, in hexadecimal."""
    found = hashlib.sha256(settings.encode())
    for values in tensors:
        found.update(values.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
