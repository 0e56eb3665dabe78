import hashlib

import torch

from mnist_vae.analysis.digest import digest


def test_it_is_sha_256_of_settings_and_values_and_differs_with_each() -> None:
    values = torch.arange(6, dtype=torch.uint8).reshape(2, 3)
    assert digest("a", [values]) == hashlib.sha256(b"a" + bytes(range(6))).hexdigest()
    assert digest("a", [values.T.contiguous().T]) == digest("a", [values])  # however they lie in memory
    assert len({digest("a", [values]), digest("b", [values]), digest("a", [values + 1]), digest("a", [])}) == 4
