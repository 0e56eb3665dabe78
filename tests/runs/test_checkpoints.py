import os
import pickle
import resource
import zipfile
from pathlib import Path

import pytest
import torch

from mnist_vae.runs.checkpoints import AtomicCheckpointIO, read_checkpoint
from mnist_vae.runs.folder import RunFolder
from mnist_vae.runs.load import open_run
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


def rewritten(path: Path, compression: int = zipfile.ZIP_STORED, **changed: bytes) -> None:
    """Write the entries of a checkpoint again, some of them changed: `data_pkl=…` is the pickle."""
    with zipfile.ZipFile(path) as stored:
        entries = {name: stored.read(name) for name in stored.namelist()}
    with zipfile.ZipFile(path, "w", compression) as written:
        for name, content in entries.items():
            written.writestr(name, changed.get(Path(name).name.replace(".", "_"), content))


def resident() -> int:
    """The most memory that this process has taken so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"weights": torch.zeros(25_000_000)}, path)
    rewritten(path, zipfile.ZIP_DEFLATED)
    before = resident()
    with pytest.raises(RunFolderError, match=r"last.ckpt is damaged \(it unpacks to more than its own size\)"):
        read_checkpoint(path)
    assert resident() - before < 20_000_000


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"weights": torch.zeros(100_000)}, path)
    with zipfile.ZipFile(path, "a") as stored:
        entry = max(stored.infolist(), key=lambda entry: entry.file_size)
        stored.filelist += [entry] * 9
        stored.writestr("archive/more", b"")  # so that the list of entries is written again
    with pytest.raises(RunFolderError, match="it unpacks to more than its own size"):
        read_checkpoint(path)


def test_a_bytearray_of_any_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({}, path)
    rewritten(path, data_pkl=b"\x80\x02cbuiltins\nbytearray\nJ\0\0\0\x7f\x85R.")
    with pytest.raises(RunFolderError, match=r"last.ckpt is damaged \(it makes a bytearray.*\); it was not loaded"):
        read_checkpoint(path)


def test_an_expanded_tensor_takes_no_memory_and_fits_no_model(runs: Path) -> None:
    run = RunFolder(runs / "mlp")
    content = read_checkpoint(run.best)
    name = next(iter(content["state_dict"]))
    content["state_dict"][name] = torch.zeros(1).expand(10**12)
    torch.save(content, run.best)
    before = resident()
    assert read_checkpoint(run.best)["state_dict"][name].shape == (10**12,)
    with pytest.raises(RunFolderError, match="the checkpoint does not fit the config"):
        open_run(run.path)
    assert resident() - before < 100_000_000


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_unopened(tmp_path: Path, make) -> None:
    make(tmp_path / "best.ckpt")
    with pytest.raises(RunFolderError, match=r"best.ckpt is damaged \(it is not a regular file\); it was not loaded"):
        read_checkpoint(tmp_path / "best.ckpt")
