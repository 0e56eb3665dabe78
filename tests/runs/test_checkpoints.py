import pickle
from pathlib import Path

import pytest
import torch

from mnist_vae.runs.checkpoints import AtomicCheckpointIO, read_checkpoint
from mnist_vae.utils.errors import RunFolderError


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    io = AtomicCheckpointIO()
    path = tmp_path / "new" / "last.ckpt"
    io.save_checkpoint({"weights": torch.arange(3), "epoch": 2}, path)
    content = io.load_checkpoint(path)
    assert content["epoch"] == 2 and torch.equal(content["weights"], torch.arange(3))
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


def test_a_failed_save_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"epoch": 1}, path)
    with pytest.raises(Exception):  # noqa: B017
        io.save_checkpoint({"epoch": 2, "unpicklable": lambda: 0}, path)
    assert read_checkpoint(path)["epoch"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


class Hostile:
    """Touches a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, writer: str) -> None:
    mark, path = tmp_path / "owned", tmp_path / "last.ckpt"
    content = {"state_dict": {}, "x": Hostile(mark)}
    if writer == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(RunFolderError, match="not loaded"):
        read_checkpoint(path)
    assert not mark.exists()
    torch.load(path, weights_only=False) if writer == "torch" else pickle.loads(path.read_bytes())
    assert mark.exists()  # so the file was hostile indeed


@pytest.mark.parametrize("keep", [0, 10, 2000])
def test_a_truncated_checkpoint_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"weights": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunFolderError, match=r"last.ckpt is damaged"):
        read_checkpoint(path)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="from the end of its first epoch"):
        read_checkpoint(tmp_path / "last.ckpt")
