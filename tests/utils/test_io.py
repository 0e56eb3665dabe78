import errno
import os
import threading
from pathlib import Path

import pytest

from mnist_vae.utils.errors import RunFolderError
from mnist_vae.utils.io import locked, read_text, remove_temporary_files, shown, write_atomically, write_json


def test_bytes_and_functions_are_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "a", b"one")
    write_atomically(tmp_path / "new" / "a", lambda file: file.write(b"two"))
    assert (tmp_path / "new" / "a").read_bytes() == b"two"
    write_json(tmp_path / "b.json", {"x": 1.5})
    assert (tmp_path / "b.json").read_text() == '{\n  "x": 1.5\n}\n'


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"old")

    def fail(file) -> None:
        file.write(b"half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_temporary_file_is_never_somebody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link planted under the temporary file's name, which is not guessable, is not followed."""
    monkeypatch.setattr("secrets.token_hex", lambda count: "0" * 2 * count)
    private, planted = tmp_path / "private", tmp_path / ".a.00000000.tmp"
    private.write_bytes(b"mine")
    planted.symlink_to(private)
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "a", b"theirs")
    assert private.read_bytes() == b"mine"
    monkeypatch.undo()
    names = []
    for _ in range(2):
        write_atomically(tmp_path / "a", lambda file: names.append(file.name))
    assert names[0] != names[1]


def test_errors_name_the_file(tmp_path: Path) -> None:
    def disk_full(file) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # as `write` raises it: without a name

    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(tmp_path / "a", disk_full)
    assert caught.value.filename == str(tmp_path / "a")
    with pytest.raises(OSError, match="too long") as caught:
        write_atomically(tmp_path / ("a" * 250), b"")
    assert caught.value.filename.endswith("a" * 250) and list(tmp_path.iterdir()) == []


def test_temporary_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "run", tmp_path / "elsewhere"
    left = [inside / ".metrics.csv.12ab34cd.tmp", inside / "figures" / ".samples.png.4242.tmp"]
    kept = [inside / "notes.tmp", inside / ".hidden", outside / ".a.1.tmp"]
    for path in (*left, *kept):
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
    (inside / "link").symlink_to(outside)
    remove_temporary_files(inside, below=False)
    assert [path.exists() for path in left] == [False, True]
    remove_temporary_files(inside)
    assert not any(path.exists() for path in left) and all(path.exists() for path in kept)


def test_only_regular_files_of_text_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text").write_text("ü", encoding="utf-8")
    assert read_text(tmp_path / "text") == "ü"
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr("mnist_vae.utils.io.LARGEST_TEXT", 1)
    for name in ("pipe", "text", ""):
        with pytest.raises(OSError, match="it is not a regular file of at most 1 bytes"):
            read_text(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "absent")


def test_paths_are_shown_relative_to_the_working_directory_if_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside = tmp_path / "here" / "runs" / "1", tmp_path / "elsewhere"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert shown(inside) == os.path.join("runs", "1")
    assert shown(outside) == str(outside)


def test_a_lock_excludes_others_until_it_is_released(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with (
        locked(file, Path("run")),
        pytest.raises(RunFolderError, match=r"^run is in use by another process"),
        locked(file, Path("run")),
    ):
        pass
    with locked(file, Path("run")):
        pass


def test_a_lock_is_released_after_an_exception(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "lock", Path("run")):
        raise ZeroDivisionError
    with locked(tmp_path / "lock", Path("run")):
        pass


def test_waiting_for_a_lock(tmp_path: Path) -> None:
    events: list[str] = []

    def wait() -> None:
        with locked(tmp_path / "lock", Path("run"), wait=True):
            events.append("acquired")

    other = threading.Thread(target=wait)
    with locked(tmp_path / "lock", Path("run")):
        other.start()
        other.join(timeout=0.2)
        events.append("released")
    other.join(timeout=30)
    assert events == ["released", "acquired"]
