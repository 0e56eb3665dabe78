import os
import threading
from pathlib import Path

import pytest

from mnist_vae.utils.errors import RunFolderError
from mnist_vae.utils.io import locked, shown, write_atomically, write_json


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
