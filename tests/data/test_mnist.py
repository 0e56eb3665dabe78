"""Image sources: downloads from a local server that fails in every way, damaged files, and the digits."""

import gzip
import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch.nn import functional

from mnist_vae.data import download, idx
from mnist_vae.data.digits import DigitsSource
from mnist_vae.data.images import ImageArrays
from mnist_vae.data.mnist import DATASETS, TorchvisionSource
from mnist_vae.utils.errors import DataError
from tests.forks import Fork, start_alone

SMALL_SHAPES = {
    idx.TRAIN_IMAGES: (200, 28, 28),
    idx.TRAIN_LABELS: (200,),
    idx.TEST_IMAGES: (20, 28, 28),
    idx.TEST_LABELS: (20,),
}
NAMES = list(SMALL_SHAPES)


def idx_bytes(values: torch.Tensor) -> bytes:
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.numpy().tobytes()


def small_values() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(shape: tuple[int, ...]) -> torch.Tensor:
        high = 10 if len(shape) == 1 else 256
        return torch.randint(high, shape, generator=generator).to(torch.uint8)

    return {name: draw(shape) for name, shape in SMALL_SHAPES.items()}


VALUES = small_values()
RAW = {name: idx_bytes(values) for name, values in VALUES.items()}
PACKED = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in RAW.items()}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


RAW_MD5 = {name: md5(content) for name, content in RAW.items()}
RESOURCES = [(name, md5(content)) for name, content in PACKED.items()]


class Server(ThreadingHTTPServer):
    """Serves the small set below every folder; `fail[folder]` makes a folder fail in the given way."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str] = []
        self.fail: dict[str, str] = {}
        self.go_on = threading.Event()

    def url(self, folder: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{folder}/"

    def handle_error(self, request, client_address) -> None:
        """torchvision hangs up on its first request of each file, and killed processes do."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        _, folder, name = self.path.split("/")
        FAILURES[self.server.fail.get(folder, "none")](self, PACKED[name])

    def log_message(self, format: str, *args: object) -> None:
        pass

    def send_head(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def send_good(self, content: bytes) -> None:
        self.send_head(len(content))
        self.wfile.write(content)

    def send_404(self, content: bytes) -> None:
        self.send_error(404)

    def send_login_page(self, content: bytes) -> None:
        self.send_good(b"<html>Please log in</html>")

    def send_flipped(self, content: bytes) -> None:
        self.send_good(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])

    def send_half(self, content: bytes) -> None:
        self.send_head(len(content))
        self.wfile.write(content[: len(content) // 2])

    def send_half_then_reset(self, content: bytes) -> None:
        self.send_half(content)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def send_half_then_wait(self, content: bytes) -> None:
        self.send_half(content)
        self.server.go_on.wait(30)
        self.wfile.write(content[len(content) // 2 :])

    def send_nothing(self, content: bytes) -> None:
        pass

    def wait(self, content: bytes) -> None:
        self.server.go_on.wait(30)


FAILURES: dict[str, Callable[[Handler, bytes], None]] = {
    "none": Handler.send_good,
    "404": Handler.send_404,
    "login page": Handler.send_login_page,
    "wrong checksum": Handler.send_flipped,
    "truncated body": Handler.send_half,
    "reset in the body": Handler.send_half_then_reset,
    "stall in the body": Handler.send_half_then_wait,
    "no answer": Handler.send_nothing,
    "timeout": Handler.wait,
}
ONLY_FAILURES = [failure for failure in FAILURES if failure != "none"]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.go_on.set()
        server.shutdown()


@pytest.fixture
def small_mnist(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the small set the MNIST to expect, and the server's folder `official` torchvision's one mirror."""
    monkeypatch.setattr(idx, "SHAPES", SMALL_SHAPES)
    monkeypatch.setitem(idx.RAW_MD5, "MNIST", RAW_MD5.copy())
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", RESOURCES)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [server.url("official")])
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.3)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


pytestmark = pytest.mark.filterwarnings("error::UserWarning")
uses_small_mnist = pytest.mark.usefixtures("small_mnist")


def raw_folder(root: Path) -> Path:
    return root / "MNIST" / "raw"


def listing(root: Path) -> list[str]:
    """What a user finds in the raw folder, without the lock."""
    names = {path.name for path in raw_folder(root).iterdir()}
    return sorted(names - {".download.lock"})


def put(root: Path, files: dict[str, bytes]) -> None:
    raw_folder(root).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (raw_folder(root) / name).write_bytes(content)


def load(root: Path, mirror: str | None = None) -> ImageArrays:
    return TorchvisionSource("MNIST", str(root), mirror).load()


def load_error(root: Path, mirror: str | None = None) -> str:
    with pytest.raises(DataError) as raised:
        load(root, mirror)
    return str(raised.value)


def tensors_of(arrays: ImageArrays) -> list[torch.Tensor]:
    return [arrays.train_images, arrays.train_labels, arrays.test_images, arrays.test_labels]


def assert_small(arrays: ImageArrays) -> None:
    expected = [VALUES[name] for name in NAMES]
    tensors = tensors_of(arrays)
    assert [array.dtype for array in tensors] == [torch.uint8, torch.int64] * 2
    assert [array.shape for array in tensors] == [(200, 1, 28, 28), (200,), (20, 1, 28, 28), (20,)]
    assert all(torch.equal(a.flatten(), b.flatten()) for a, b in zip(tensors, expected, strict=True))


def assert_three_ways_out(message: str, root: Path) -> None:
    assert str(raw_folder(root).absolute()) in message
    assert "data.root" in message and "MNIST_VAE_DATA" in message
    assert "data=digits" in message
    assert message.endswith(".") and "\n" not in message


# Downloads


@uses_small_mnist
def test_downloads_in_place_without_a_word_on_stdout(tmp_path, capfd):
    assert_small(load(tmp_path / "new" / "root"))
    assert listing(tmp_path / "new" / "root") == sorted(NAMES)
    assert all((raw_folder(tmp_path / "new" / "root") / name).read_bytes() == RAW[name] for name in NAMES)
    assert capfd.readouterr().out == ""


@uses_small_mnist
def test_second_load_makes_no_request(tmp_path, server):
    load(tmp_path)
    before = list(server.requests)
    assert_small(load(tmp_path, mirror=server.url("lab")))
    assert server.requests == before


@uses_small_mnist
@pytest.mark.parametrize("failure", ONLY_FAILURES)
def test_failing_download_is_one_clear_error_and_leaves_nothing(tmp_path, server, capfd, failure):
    server.fail["official"] = failure
    message = load_error(tmp_path)
    assert_three_ways_out(message, tmp_path)
    assert all(name in message for name in NAMES)
    assert f"127.0.0.1:{server.server_port}" in message
    assert listing(tmp_path) == []
    assert capfd.readouterr().out == ""

    server.fail.clear()
    assert_small(load(tmp_path))


@uses_small_mnist
@pytest.mark.parametrize(
    ("failure", "cause"),
    [("404", "HTTP 404 Not Found"), ("wrong checksum", "wrong checksum"), ("timeout", "timed out")],
)
def test_error_says_the_cause(tmp_path, server, failure, cause):
    server.fail["official"] = failure
    assert cause in load_error(tmp_path)


@uses_small_mnist
@pytest.mark.parametrize("failure", ONLY_FAILURES)
def test_next_mirror_is_asked_when_one_fails(tmp_path, server, failure):
    server.fail["lab"] = failure
    assert_small(load(tmp_path, mirror=server.url("lab")))
    assert listing(tmp_path) == sorted(NAMES)
    assert server.requests[0].startswith("/lab/")
    assert server.requests[-1].startswith("/official/")


@uses_small_mnist
@pytest.mark.parametrize("end", ["", "/"])
def test_own_mirror_is_asked_first(tmp_path, server, end):
    assert_small(load(tmp_path, mirror=server.url("lab").rstrip("/") + end))
    assert {request.split("/")[1] for request in server.requests} == {"lab"}


@uses_small_mnist
def test_refused_connection(tmp_path, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"http://{address}/"])
        message = load_error(tmp_path)
    assert_three_ways_out(message, tmp_path)
    assert f"Connection refused at {address}" in message
    assert listing(tmp_path) == []


@uses_small_mnist
def test_failing_on_the_last_file_leaves_nothing(tmp_path, monkeypatch):
    resources = [*RESOURCES[:-1], (f"{NAMES[-1]}.gz", "0" * 32)]
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    assert NAMES[-1] in load_error(tmp_path)
    assert listing(tmp_path) == []


@uses_small_mnist
def test_download_that_does_not_unpack_to_the_known_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(idx.RAW_MD5["MNIST"], idx.TEST_LABELS, "0" * 32)
    assert "its MD5 is" in load_error(tmp_path)
    assert listing(tmp_path) == []


@uses_small_mnist
def test_only_missing_files_are_downloaded(tmp_path, server):
    present, missing = NAMES[:2], NAMES[2:]
    put(tmp_path, {name: RAW[name] for name in present})
    assert_small(load(tmp_path))
    assert {Path(request).stem for request in server.requests} == set(missing)


@uses_small_mnist
def test_half_a_set_without_network_names_the_missing_files_only(tmp_path, server):
    server.fail["official"] = "404"
    put(tmp_path, {name: RAW[name] for name in NAMES[:2]})
    lacking = load_error(tmp_path).split(" in ")[0]
    assert [name for name in NAMES if name in lacking] == NAMES[2:]
    assert listing(tmp_path) == sorted(NAMES[:2])


@uses_small_mnist
def test_default_socket_timeout_is_restored(tmp_path):
    load(tmp_path)
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("mirror", ["", "lab.example/mnist", "file:///mnist", "ftp://lab.example"])
def test_mirror_must_be_http(mirror):
    with pytest.raises(DataError, match=r"http://"):
        TorchvisionSource("MNIST", "data", mirror)


@pytest.mark.parametrize("dataset", ["mnist", "CIFAR10", "EMNIST", ""])
def test_unknown_dataset_names_the_known(dataset):
    with pytest.raises(DataError, match=f"'{dataset}'.* MNIST, FashionMNIST, KMNIST"):
        TorchvisionSource(dataset, "data")


# Several processes, and killed ones

CHILD = """
import json, os, signal, sys, time
from mnist_vae.data import download, idx
from mnist_vae.data.mnist import TorchvisionSource

tables = json.loads(sys.argv[1])
heavy = {"torchvision", "sklearn", "matplotlib"} & set(sys.modules)
assert tables["forked"] or not heavy, "importing the sources must be quick"
idx.SHAPES = {name: tuple(shape) for name, shape in tables["shapes"].items()}
idx.RAW_MD5["MNIST"] = tables["raw_md5"]
import torchvision
torchvision.datasets.MNIST.resources = tables["resources"]
torchvision.datasets.MNIST.mirrors = [tables["mirror"]]
if tables["kill_before_move"] is not None:
    moves, move = [], os.replace
    def replace(source, target):
        moves.append(target)
        if len(moves) > tables["kill_before_move"]:
            os.kill(os.getpid(), signal.SIGKILL)
        move(source, target)
    download.os.replace = replace
open(tables["ready"], "w").close()
while not os.path.exists(tables["start"]):
    time.sleep(0.005)
TorchvisionSource("MNIST", tables["root"]).load()
"""


def start_child(
    tmp_path: Path,
    server: Server,
    number: int = 0,
    kill_before_move: int | None = None,
    start: Callable[..., Any] = Fork,
) -> Any:
    """Start a process that loads from `tmp_path/root`; return it once it waits for `tmp_path/start`."""
    ready = tmp_path / f"ready{number}"
    settings = {
        "shapes": SMALL_SHAPES,
        "raw_md5": RAW_MD5,
        "resources": RESOURCES,
        "mirror": server.url("official"),
        "root": str(tmp_path / "root"),
        "ready": str(ready),
        "start": str(tmp_path / "start"),
        "kill_before_move": kill_before_move,
        "forked": start is Fork,
    }
    script, stdout, stderr = (tmp_path / f"{name}{number}" for name in ("child", "stdout", "stderr"))
    script.write_text(CHILD)
    source_folder = str(Path(idx.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": source_folder, "OMP_NUM_THREADS": "1"}
    return start(str(script), [json.dumps(settings)], stdout, stderr, environment)


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.01)


@uses_small_mnist
def test_two_processes_at_once_download_once(tmp_path, server):
    load(tmp_path / "alone")
    alone = sorted(server.requests)
    server.requests.clear()
    server.fail["official"] = "stall in the body"  # so that the second surely comes while the first downloads

    children = [start_child(tmp_path, server, number) for number in range(2)]
    wait_for(lambda: all((tmp_path / f"ready{number}").exists() for number in range(2)), "start")
    (tmp_path / "start").touch()
    wait_for(lambda: len(server.requests) >= 2, "request")
    time.sleep(0.5)
    server.go_on.set()
    for number, child in enumerate(children):
        assert child.wait(timeout=60) == 0, (tmp_path / f"stderr{number}").read_text()
    assert sorted(server.requests) == alone
    assert listing(tmp_path / "root") == sorted(NAMES)


@uses_small_mnist
def test_kill_in_the_middle_of_a_body(tmp_path, server):
    root = tmp_path / "root"
    server.fail["official"] = "stall in the body"
    (tmp_path / "start").touch()
    child = start_child(tmp_path, server, start=start_alone)
    half_files = partial(raw_folder(root).glob, ".download-*/*.gz")
    wait_for(lambda: any(path.stat().st_size for path in half_files()), "half a file")
    child.kill()
    child.wait(timeout=60)
    assert len(listing(root)) == 1 and listing(root)[0].startswith(".download-")

    server.fail["official"] = "404"
    assert_three_ways_out(load_error(root), root)
    server.fail.clear()
    assert_small(load(root))
    assert listing(root) == sorted(NAMES)


@uses_small_mnist
def test_kill_between_the_moves(tmp_path, server):
    root = tmp_path / "root"
    (tmp_path / "start").touch()
    child = start_child(tmp_path, server, kill_before_move=2)
    assert child.wait(timeout=60) == -signal.SIGKILL
    in_place = [name for name in listing(root) if name in NAMES]
    assert len(in_place) == 2

    server.requests.clear()
    assert_small(load(root))
    assert listing(root) == sorted(NAMES)
    assert not {Path(request).stem for request in server.requests} & set(in_place)


@uses_small_mnist
def test_leftovers_of_a_killed_download_are_cleaned_up_and_not_used(tmp_path):
    leftover = raw_folder(tmp_path) / ".download-killed"
    leftover.mkdir(parents=True)
    for name in NAMES:
        (leftover / name).write_bytes(b"garbage")
        (leftover / f"{name}.gz").write_bytes(b"garbage")
    assert_small(load(tmp_path))
    assert listing(tmp_path) == sorted(NAMES)


# Files that are there


def flip(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


def header_of(name: str) -> bytes:
    return RAW[name][: 4 + 4 * len(SMALL_SHAPES[name])]


DAMAGES: dict[str, tuple[str, bytes, str]] = {
    "empty": (idx.TRAIN_IMAGES, b"", "only 0 bytes"),
    "header cut": (idx.TEST_LABELS, RAW[idx.TEST_LABELS][:6], "only 6 bytes"),
    "truncated by one": (idx.TRAIN_IMAGES, RAW[idx.TRAIN_IMAGES][:-1], "156,815 bytes where 156,816"),
    "truncated labels": (idx.TEST_LABELS, RAW[idx.TEST_LABELS][:-5], "23 bytes where 28"),
    "a byte more": (idx.TEST_IMAGES, RAW[idx.TEST_IMAGES] + b"\0", "bytes where"),
    "flipped pixel": (idx.TRAIN_IMAGES, flip(RAW[idx.TRAIN_IMAGES], 5000), "MD5"),
    "flipped label": (idx.TEST_LABELS, flip(RAW[idx.TEST_LABELS], 20), "MD5"),
    "flipped magic": (idx.TEST_LABELS, flip(RAW[idx.TEST_LABELS], 2), "begins with 00000901"),
    "garbage": (idx.TRAIN_LABELS, b"<html>" * 1000, "begins with 3c68746d"),
    "test set as training set": (idx.TRAIN_IMAGES, RAW[idx.TEST_IMAGES], "20 x 28 x 28 values where 200"),
    "images as labels": (idx.TRAIN_LABELS, RAW[idx.TRAIN_IMAGES], "begins with 00000803"),
    "labels as images": (idx.TEST_IMAGES, RAW[idx.TEST_LABELS], "begins with 00000801"),
    "of another dataset": (idx.TEST_IMAGES, header_of(idx.TEST_IMAGES) + bytes(20 * 28 * 28), "MD5"),
}


@uses_small_mnist
@pytest.mark.parametrize(("name", "content", "problem"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_file_is_named_and_kept(tmp_path, server, name, content, problem):
    put(tmp_path, {**RAW, name: content})
    message = load_error(tmp_path)
    assert str(raw_folder(tmp_path) / name) in message
    assert problem in message
    assert "delete it" in message
    assert (raw_folder(tmp_path) / name).read_bytes() == content
    assert server.requests == []

    (raw_folder(tmp_path) / name).unlink()
    assert_small(load(tmp_path))


@uses_small_mnist
def test_damaged_file_in_half_a_set_is_named_before_any_download(tmp_path, server):
    put(tmp_path, {idx.TRAIN_LABELS: RAW[idx.TRAIN_LABELS][:-1]})
    assert idx.TRAIN_LABELS in load_error(tmp_path)
    assert server.requests == []


@uses_small_mnist
def test_label_out_of_range_is_found_without_md5(tmp_path):
    folder = tmp_path / "KMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, content in RAW.items():
        (folder / name).write_bytes(content)
    assert_small(TorchvisionSource("KMNIST", str(tmp_path)).load())
    (folder / idx.TEST_LABELS).write_bytes(RAW[idx.TEST_LABELS][:-1] + b"\x0a")
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte is damaged, it has the label 10"):
        TorchvisionSource("KMNIST", str(tmp_path)).load()


@uses_small_mnist
def test_folder_in_place_of_a_file(tmp_path):
    put(tmp_path, {name: RAW[name] for name in NAMES[1:]})
    (raw_folder(tmp_path) / NAMES[0]).mkdir()
    assert f"{NAMES[0]} can't be read (Is a directory)" in load_error(tmp_path)


@uses_small_mnist
def test_packed_files_do(tmp_path, server):
    put(tmp_path, {**PACKED, NAMES[1]: RAW[NAMES[1]]})
    before = sorted(os.listdir(raw_folder(tmp_path)))
    assert_small(load(tmp_path))
    assert sorted(os.listdir(raw_folder(tmp_path))) == before
    assert server.requests == []


@uses_small_mnist
@pytest.mark.parametrize("damage", [lambda content: content[:-10], lambda content: flip(content, 50)])
def test_damaged_packed_file_is_named(tmp_path, server, damage):
    name = f"{NAMES[2]}.gz"
    put(tmp_path, {**PACKED, name: damage(PACKED[name])})
    message = load_error(tmp_path)
    assert str(raw_folder(tmp_path) / name) in message and "MD5" in message
    assert server.requests == []


def test_packed_file_with_the_right_md5_that_is_no_gzip(tmp_path):
    path = tmp_path / f"{idx.TEST_LABELS}.gz"
    path.write_bytes(b"not gzip")
    with pytest.raises(idx.DamagedFileError, match="unpacked"):
        idx.read_gz(path, "MNIST", md5(b"not gzip"))


@uses_small_mnist
def test_relative_root_and_home_are_resolved(tmp_path, server, monkeypatch):
    server.fail["official"] = "404"
    put(tmp_path / "data", RAW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert_small(load(Path("data")))
    assert_small(load(Path("~/data")))


# Roots that can't be written


@pytest.fixture
def read_only_root() -> Iterator[Callable[[dict[str, bytes]], Path]]:
    """A function that puts files into a new root and takes away the right to write, even of user root."""
    # Not tmp_path, whose parents only their owner may enter.
    root = Path(tempfile.mkdtemp())
    user = os.geteuid()

    def make(files: dict[str, bytes]) -> Path:
        put(root, files)
        for folder in (raw_folder(root), raw_folder(root).parent, root):
            folder.chmod(0o555)
        if user == 0:
            os.seteuid(65534)
        return root

    yield make
    os.seteuid(user)
    for folder in (root, raw_folder(root).parent, raw_folder(root)):
        folder.chmod(0o755)
    shutil.rmtree(root)


@uses_small_mnist
@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs the permissions of POSIX")
@pytest.mark.parametrize("files", [RAW, PACKED], ids=["raw", "packed"])
def test_read_only_root_with_the_files(read_only_root, files):
    root = read_only_root(files)
    with pytest.raises(PermissionError):
        (raw_folder(root) / "probe").touch()
    assert_small(load(root))
    assert sorted(os.listdir(raw_folder(root))) == sorted(files)
    assert os.listdir(root) == ["MNIST"]


@uses_small_mnist
@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs the permissions of POSIX")
def test_read_only_root_that_lacks_a_file(read_only_root, server):
    root = read_only_root({name: RAW[name] for name in NAMES[1:]})
    message = load_error(root)
    assert_three_ways_out(message, root)
    assert NAMES[0] in message and "Permission denied" in message
    assert server.requests == []


@uses_small_mnist
@pytest.mark.parametrize("below", ["", "sub/folder"])
def test_root_below_a_regular_file(tmp_path, server, below):
    (tmp_path / "file").write_text("not a folder")
    root = tmp_path / "file" / below
    message = load_error(root)
    assert_three_ways_out(message, root)
    assert "Not a directory" in message
    assert server.requests == []


@uses_small_mnist
def test_full_disk_while_moving(tmp_path, monkeypatch):
    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download.os, "replace", full)
    message = load_error(tmp_path)
    assert_three_ways_out(message, tmp_path)
    assert "No space left on device" in message
    assert listing(tmp_path) == []


# The real MNIST


@pytest.mark.skipif("MNIST_VAE_DATA" not in os.environ, reason="MNIST_VAE_DATA names no folder with MNIST")
def test_real_mnist():
    arrays = TorchvisionSource("MNIST", os.environ["MNIST_VAE_DATA"]).load()
    assert arrays.train_images.shape == (60_000, 1, 28, 28)
    assert arrays.test_images.shape == (10_000, 1, 28, 28)
    assert arrays.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert arrays.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    pixels = arrays.train_images.float() / 255
    assert float(pixels.mean()) == pytest.approx(0.1307, abs=5e-5)
    assert float(pixels.std()) == pytest.approx(0.3081, abs=5e-5)


# The digits


@pytest.fixture(scope="module")
def digits() -> ImageArrays:
    return DigitsSource().load()


def all_images(digits: ImageArrays) -> torch.Tensor:
    return torch.cat([digits.train_images, digits.test_images])


def extents(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The height and width of the box around the pixels that aren't black."""

    def extent(used: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(28).expand_as(used)
        return positions.where(used, -1).amax(1) - positions.where(used, 28).amin(1) + 1

    ink = images[:, 0] > 0
    return extent(ink.any(2)), extent(ink.any(1))


def test_digits_have_the_form_of_mnist(digits):
    tensors = tensors_of(digits)
    assert [array.dtype for array in tensors] == [torch.uint8, torch.int64] * 2
    assert [array.shape for array in tensors] == [(1500, 1, 28, 28), (1500,), (297, 1, 28, 28), (297,)]
    assert all(array.is_contiguous() for array in tensors)


def test_digits_split_is_balanced(digits):
    test = torch.bincount(digits.test_labels)
    share = test / (test + torch.bincount(digits.train_labels))
    assert (share - 297 / 1797).abs().max() < 1 / 174  # 174 images of the rarest digit: not one more or less


def test_digits_split_is_disjoint_and_complete(digits):
    from sklearn.datasets import load_digits

    distinct = len({image.tobytes() for image in load_digits().images})
    assert distinct == 1797  # or the next line would prove nothing
    assert len({image.numpy().tobytes() for image in all_images(digits)}) == distinct


def test_digits_are_shuffled_the_same_for_everyone(digits):
    assert digits.train_labels[:12].tolist() == [2, 8, 2, 6, 1, 9, 8, 2, 8, 6, 6, 6]
    assert digits.test_labels[:12].tolist() == [6, 7, 5, 0, 8, 4, 2, 6, 1, 7, 9, 3]


def test_digits_are_deterministic(digits):
    torch.manual_seed(7)
    again = DigitsSource().load()
    assert all(torch.equal(a, b) for a, b in zip(tensors_of(digits), tensors_of(again), strict=True))


def test_digits_keep_their_labels(digits):
    """A nearest-mean classifier reads them, the means taken on the training split: they are not permuted."""
    images, labels = digits.train_images.flatten(1).float(), digits.train_labels
    means = torch.stack([images[labels == label].mean(0) for label in range(10)])
    read = torch.cdist(digits.test_images.flatten(1).float(), means).argmin(1)
    assert (read == digits.test_labels).float().mean() > 0.85


def test_digits_are_not_turned_or_mirrored(digits):
    from sklearn.datasets import load_digits

    source = load_digits()
    originals, labels = torch.from_numpy(source.images).float(), torch.from_numpy(source.target)
    expected = torch.stack([originals[labels == label].mean(0) for label in range(10)])
    images, labels = digits.train_images[:, 0, 4:24, 4:24].float(), digits.train_labels
    drawn = torch.stack([images[labels == label].mean(0) for label in range(10)])
    small = functional.adaptive_avg_pool2d(drawn, 8)

    def similarity(turned: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([turned.flatten(), expected.flatten()]))[0, 1])

    others = [small.mT, small.flip(1), small.flip(2), small.flip(1, 2)]
    assert similarity(small) > max(map(similarity, others)) + 0.1


def test_digits_centre_of_mass(digits):
    images = all_images(digits)[:, 0].double()
    pixel = torch.arange(28.0, dtype=torch.double)
    mass = images.sum((1, 2))
    centres = torch.stack([images.sum(2) @ pixel, images.sum(1) @ pixel], dim=1) / mass[:, None]
    assert (centres - 13.5).abs().max() <= 1
    assert (centres.mean(0) - 14).abs().max() < 0.05  # where MNIST has it


def test_digits_fit_mnists_box(digits):
    heights, widths = extents(all_images(digits))
    assert heights.float().mean() == pytest.approx(20, abs=0.25)
    assert heights.min() >= 18 and heights.max() <= 21
    assert widths.max() <= 21


def test_digits_use_the_full_range(digits):
    images = all_images(digits)
    assert (images.amax((1, 2, 3)) == 255).all()
    border = torch.ones(28, 28, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert (images[:, 0, border] == 0).all()


def test_digits_have_mnists_shares_of_black_grey_and_white(digits):
    images = all_images(digits)
    assert float((images == 0).float().mean()) == pytest.approx(0.809, abs=0.02)
    grey = ((images > 0) & (images < 250)).sum() / (images > 0).sum()
    assert float(grey) == pytest.approx(0.615, abs=0.03)


def test_digits_have_mnists_mean_and_deviation(digits):
    pixels = all_images(digits).float() / 255
    assert float(pixels.mean()) == pytest.approx(0.1307, abs=0.01)
    assert float(pixels.std()) == pytest.approx(0.3081, abs=0.01)


@pytest.mark.parametrize("dataset", DATASETS)
def test_classes_are_named_as_torchvision_names_them(dataset: str) -> None:
    theirs = getattr(torchvision.datasets, dataset).classes
    for ours, name in zip(DATASETS[dataset], theirs, strict=True):
        assert ours.lower() in name.lower()  # shorter, to stand above a picture


def test_the_digits_are_named_too() -> None:
    assert DigitsSource().load().classes == tuple("0123456789")
