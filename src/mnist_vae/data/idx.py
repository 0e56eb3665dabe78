"""The IDX files of MNIST and its drop-in replacements: none is trusted before it is checked.

The format (http://yann.lecun.com/exdb/mnist): two zero bytes, the type of the values (8: unsigned byte), the
number of dimensions, each dimension as a big-endian 32-bit integer, then the values.
"""

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"

# What each file holds, the same for MNIST, FashionMNIST and KMNIST.
SHAPES: dict[str, tuple[int, ...]] = {
    TRAIN_IMAGES: (60_000, 28, 28),
    TRAIN_LABELS: (60_000,),
    TEST_IMAGES: (10_000, 28, 28),
    TEST_LABELS: (10_000,),
}

# torchvision publishes the MD5 of the .gz files only; these are of the unpacked files.
RAW_MD5: dict[str, dict[str, str]] = {
    "MNIST": {
        TRAIN_IMAGES: "6bbc9ace898e44ae57da46a324031adb",
        TRAIN_LABELS: "a25bea736e30d166cdddb491f175f624",
        TEST_IMAGES: "2646ac647ad5339dbf082846283269ea",
        TEST_LABELS: "27ae3e4e09519cfbb04c329615203637",
    }
}


class DamagedFileError(Exception):
    """A file does not hold what its name promises; the message is a clause that says why ("it has ...")."""


def read(path: Path, dataset: str) -> Tensor:
    """Read one raw file of `dataset`: uint8, in the shape `SHAPES` gives for its name.

    Raises DamagedFileError, or OSError where the file can't be read.
    """
    return _checked_values(bytearray(path.read_bytes()), path.name, dataset)


def read_gz(path: Path, dataset: str, published_md5: str) -> Tensor:
    """Read one raw file of `dataset` out of its .gz file, in memory, so that a read-only folder will do."""
    packed = path.read_bytes()
    _check_md5(packed, published_md5)
    try:
        content = bytearray(gzip.decompress(packed))
    except (OSError, EOFError, zlib.error) as error:
        raise DamagedFileError(f"it can't be unpacked ({error})") from error
    return _checked_values(content, path.stem, dataset)


def _checked_values(content: bytearray, name: str, dataset: str) -> Tensor:
    shape = SHAPES[name]
    header_size = 4 + 4 * len(shape)
    _check_header(content, shape, header_size)
    expected_md5 = RAW_MD5.get(dataset, {}).get(name)
    if expected_md5 is not None:
        _check_md5(content, expected_md5)
    values = torch.frombuffer(content, dtype=torch.uint8, offset=header_size).view(shape)
    if len(shape) == 1 and values.max() > 9:
        raise DamagedFileError(f"it has the label {values.max()} where labels are 0 to 9")
    return values


def _check_header(content: bytearray, shape: tuple[int, ...], header_size: int) -> None:
    if len(content) < header_size:
        raise DamagedFileError(f"it has only {len(content)} bytes")
    magic = bytes([0, 0, 8, len(shape)])
    if content[:4] != magic:
        raise DamagedFileError(f"it begins with {content[:4].hex()} where {magic.hex()} is expected")
    announced = struct.unpack_from(f">{len(shape)}I", content, 4)
    if announced != shape:
        raise DamagedFileError(f"its header says {_by(announced)} values where {_by(shape)} are expected")
    size = header_size + math.prod(shape)
    if len(content) != size:
        raise DamagedFileError(f"it has {len(content):,} bytes where {size:,} are expected")


def _check_md5(content: bytes | bytearray, expected: str) -> None:
    # Not for security: without the flag, hashlib refuses MD5 on machines in FIPS mode.
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != expected:
        raise DamagedFileError(f"its MD5 is {md5} where {expected} is expected")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape)
