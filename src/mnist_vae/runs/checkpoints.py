"""Checkpoints: written atomically, and read without running any code."""

import io
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from mnist_vae.utils.errors import RunFolderError, first_line
from mnist_vae.utils.io import write_atomically

Module = TypeVar("Module", bound=nn.Module)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, written atomically, and read as tensors and plain values.

    Lightning's own writer moves a file from the system's temporary folder, which may be another disk, so that a
    kill could leave half a checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        # By way of memory: an interrupt inside torch's zip writer would come out as an error of that writer.
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(Path(path), buffer.getvalue())

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, on the CPU. Weights-only loading: no code in the file is run, and its tensors take no more
    memory than its size.

    Raises:
        RunFolderError: there is no such file, it is damaged, or it holds more than tensors and plain values.
    """
    if not path.exists():
        raise RunFolderError(f"{path} does not exist; a run has it from the end of its first epoch on.")
    try:
        _check(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RunFolderError(
            f"{path} is damaged, or holds more than tensors and plain values; it was not loaded."
        ) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise RunFolderError(f"{path} is damaged ({first_line(error)}); it was not loaded.") from error
    if not isinstance(content, dict):
        raise RunFolderError(f"{path} is not a checkpoint of this project.")
    return content


def vae_weights(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The weights of the VAE in a checkpoint, by the names that the VAE itself gives them."""
    prefix = "vae."
    return {name[len(prefix) :]: value for name, value in checkpoint["state_dict"].items() if name.startswith(prefix)}


def load_weights(build: Callable[[], Module], weights: Mapping[str, Tensor], file: Path) -> Module:
    """Build a module, and load its weights.

    Args:
        build: makes the module, as a config says that may come from a stranger.
        weights: those of the file.

    Raises:
        ValueError: the module takes more memory than the file; it was not built.
        Exception: the weights are not those of the module.
    """
    with torch.device("meta"):  # where tensors take no memory
        needed = sum(value.nbytes for value in build().state_dict().values())
    if needed > file.stat().st_size:
        raise ValueError("it is smaller than the weights that the config asks for")
    module = build()
    module.load_state_dict(weights)
    return module


def _check(path: Path) -> None:
    """Raise ValueError if reading the file would take far more memory than its size, or any error if it is damaged."""
    if not path.is_file():  # a pipe would block
        raise ValueError("it is not a regular file")
    with zipfile.ZipFile(path) as stored:
        entries = stored.infolist()
        compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)  # torch never does that
        if compressed or sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("it unpacks to more than its own size")
        if stored.testzip() is not None:
            raise ValueError("a checksum is wrong")
        for entry in entries:
            if entry.filename.endswith("data.pkl") and b"bytearray" in stored.read(entry):
                raise ValueError("it makes a bytearray, which can have any size")  # and which torch allows
