from pathlib import Path

import pytest

from mnist_vae.utils.io import write_atomically, write_json


def test_bytes_and_writers_end_in_place(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "a", b"one")
    write_atomically(tmp_path / "new" / "a", lambda file: file.write(b"two"))
    assert (tmp_path / "new" / "a").read_bytes() == b"two"
    write_json(tmp_path / "b.json", {"x": 1.5})
    assert (tmp_path / "b.json").read_text() == '{\n  "x": 1.5\n}\n'


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"old")

    def fail(file) -> None:
        file.write(b"half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
