"""Image sources: MNIST in place, or downloaded from a local server that fails in many ways."""

import errno
import gzip
import hashlib
import math
import multiprocessing
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torchvision

from mnist_vae.data import download, mnist
from mnist_vae.data.mnist import DATASETS, FILES, TorchvisionSource, read_idx
from mnist_vae.utils.errors import DataError

NAMES = list(FILES)
IMAGES, LABELS = NAMES[2:]
SHAPES = {name: (shape[0] // 300, *shape[1:]) for name, (shape, _) in FILES.items()}
DRAW = random.Random(0)
VALUES = [bytes(DRAW.choices(range(10 if len(s) == 1 else 256), k=math.prod(s))) for s in SHAPES.values()]
HEADERS = [struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape) for shape in SHAPES.values()]
RAW = {name: header + values for name, header, values in zip(NAMES, HEADERS, VALUES, strict=True)}
PACKED = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in RAW.items()}


class Handler(BaseHTTPRequestHandler):
    """Serve the packed files in every folder; `server.fail[folder]` says how a folder fails."""

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        _, folder, name = self.path.split("/")
        failure = self.server.fail.get(folder)
        if failure == "hang up":
            return
        if failure == "404":
            return self.send_error(404)
        if failure == "control bytes":
            return self.send_error(404, "\x1b]0;mine\x07\x1b[31mgone")
        if failure == "redirect loop":
            self.send_response(302)
            self.send_header("Location", self.path)
            return self.end_headers()
        content = bytes(len(PACKED[name])) if failure == "wrong checksum" else PACKED[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:10])
        if failure == "stall":
            self.server.go_on.wait(30)
        if failure == "slow":
            for byte in content[10:20]:
                time.sleep(0.1)
                self.wfile.write(bytes([byte]))
        self.wfile.write(content[10:])


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address) -> None:
        """Print nothing where a client has left."""


@pytest.fixture
def server(monkeypatch):
    """Make the small files the MNIST to expect, and the server's folder `official` torchvision's one mirror."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.requests, server.fail, server.go_on = [], {}, threading.Event()
        server.host = f"127.0.0.1:{server.server_port}"
        files = {name: (SHAPES[name], hashlib.md5(content).hexdigest()) for name, content in RAW.items()}
        monkeypatch.setattr(mnist, "FILES", files)
        resources = [(name, hashlib.md5(content).hexdigest()) for name, content in PACKED.items()]
        monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"http://{server.host}/official/"])
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.go_on.set()
        server.shutdown()


def raw_folder(root: Path) -> Path:
    return root / "MNIST" / "raw"


def listing(root: Path) -> list[str]:
    """The names in the raw folder, without the lock."""
    return sorted({path.name for path in raw_folder(root).iterdir()} - {".download.lock"})


def put(root: Path, files: dict[str, bytes]) -> None:
    raw_folder(root).mkdir(parents=True)
    for name, content in files.items():
        (raw_folder(root) / name).write_bytes(content)


def assert_loads(root: Path, mirror: str | None = None) -> None:
    tensors = TorchvisionSource("MNIST", str(root), mirror).load()[:4]
    assert [tensor.dtype for tensor in tensors] == [torch.uint8, torch.int64] * 2
    assert [tensor.shape for tensor in tensors] == [(200, 1, 28, 28), (200,), (33, 1, 28, 28), (33,)]
    assert [bytes(tensor.flatten().tolist()) for tensor in tensors] == VALUES


def load_error(root: Path, missing: list[str], mirror: str | None = None) -> str:
    """What the error says when one loads: a sentence that names the files `missing` and the three ways out."""
    with pytest.raises(DataError) as raised:
        TorchvisionSource("MNIST", str(root), mirror).load()
    message = str(raised.value)
    assert message.isprintable()
    assert message.startswith(f"MNIST lacks {', '.join(missing)} in {raw_folder(root)}, and can't be downloaded there")
    assert "data.root" in message and "MNIST_VAE_DATA" in message
    assert message.endswith("or use data=digits, which is embedded.")
    return message


def test_files_are_downloaded_once_without_a_word_on_stdout(tmp_path, server, capfd):
    assert_loads(tmp_path / "new" / "root")
    assert listing(tmp_path / "new" / "root") == sorted(NAMES) and capfd.readouterr().out == ""
    server.requests.clear()
    assert_loads(tmp_path / "new" / "root", mirror=f"http://{server.host}/lab/")
    assert server.requests == []


@pytest.mark.parametrize("end", ["", "/"])
def test_own_mirror_is_asked_first(tmp_path, server, end):
    assert_loads(tmp_path, mirror=f"http://{server.host}/lab{end}")
    assert {request.split("/")[1] for request in server.requests} == {"lab"}


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("404", "HTTP Error 404: Not Found"),
        ("wrong checksum", "its MD5 is not the one expected"),
        ("stall", "timed out"),
        ("slow", "it was not done after 0.6 seconds"),
        ("hang up", "Remote end closed connection without response"),
        (
            "redirect loop",
            "HTTP Error 302: The HTTP server returned a redirect error that would lead to an infinite loop",
        ),
        ("control bytes", "HTTP Error 404:  ]0;mine gone"),
    ],
)
def test_failing_mirror_is_named_and_the_next_one_is_asked(tmp_path, server, monkeypatch, failure, reason):
    monkeypatch.setattr(download, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(download, "TOTAL_SECONDS", 0.6)
    server.fail["official"] = failure
    assert f"{NAMES[0]}.gz from {server.host}: {reason})" in load_error(tmp_path, missing=NAMES)
    assert listing(tmp_path) == []

    server.fail = {"lab": failure}
    server.requests.clear()
    assert_loads(tmp_path, mirror=f"http://{server.host}/lab/")
    assert server.requests[0].startswith("/lab/") and server.requests[-1].startswith("/official/")


def test_every_mirror_that_failed_is_named(tmp_path, server):
    server.fail["official"] = "404"
    message = load_error(tmp_path, missing=NAMES, mirror="HTTP://127.0.0.1:1")
    assert f"Connection refused; from {server.host}: HTTP Error 404: Not Found)" in message
    assert f"({NAMES[0]}.gz from 127.0.0.1:1: [Errno" in message


@pytest.mark.parametrize("checked", ["packed", "unpacked"])
def test_failing_on_the_last_file_leaves_nothing(tmp_path, server, monkeypatch, checked):
    if checked == "packed":
        torchvision.datasets.MNIST.resources[-1] = (f"{NAMES[-1]}.gz", "0" * 32)
    else:
        monkeypatch.setitem(mnist.FILES, NAMES[-1], (SHAPES[NAMES[-1]], "0" * 32))
    assert f"{NAMES[-1]}.gz from" in load_error(tmp_path, missing=NAMES)
    assert listing(tmp_path) == []


def test_only_missing_files_are_downloaded(tmp_path, server):
    put(tmp_path, {name: RAW[name] for name in NAMES[:2]})
    server.fail["official"] = "404"
    load_error(tmp_path, missing=NAMES[2:])
    server.fail.clear()
    assert_loads(tmp_path)
    assert {Path(request).stem for request in server.requests} == set(NAMES[2:])


@pytest.mark.parametrize(
    ("dataset", "mirror", "message"),
    [
        *((name, None, f"'{name}': choose one of MNIST, FashionMNIST, KMNIST.") for name in ("mnist", "EMNIST", "")),
        *(("MNIST", mirror, "begins with http://") for mirror in ("", "lab.example/mnist", "ftp://lab.example")),
        *(("MNIST", f"http://lab.example/{end}", "begins with http://") for end in ("\x1b[31m", "a b", "\n", "\u202e")),
    ],
)
def test_unknown_dataset_and_bad_mirror(dataset, mirror, message):
    with pytest.raises(DataError, match=message) as raised:
        TorchvisionSource(dataset, "data", mirror)
    assert str(raised.value).isprintable()


def fork(target, *arguments):
    """Start a process to which the patches of this one apply."""
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    process.start()
    return process


def test_two_processes_at_once_download_once(tmp_path, server):
    server.fail["official"] = "stall"  # so that the second comes while the first downloads
    first = fork(assert_loads, tmp_path)
    while not server.requests:
        time.sleep(0.01)
        assert first.is_alive()
    second = fork(assert_loads, tmp_path)
    time.sleep(0.5)
    server.go_on.set()
    for process in (first, second):
        process.join(60)
        assert process.exitcode == 0
    assert len(server.requests) == len(set(server.requests)) == 4
    assert listing(tmp_path) == sorted(NAMES)


def load_and_die(root: Path, moves: int) -> None:
    """Load, and die where the next file would be moved after so many `moves`."""
    done, move = [], os.replace

    def replace(source, target) -> None:
        if len(done) == moves:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(move(source, target))

    os.replace = replace
    TorchvisionSource("MNIST", str(root)).load()


@pytest.mark.parametrize("moves", [0, 2])
def test_killed_download_leaves_whole_files_and_the_next_one_cleans_up(tmp_path, server, moves):
    process = fork(load_and_die, tmp_path, moves)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    in_place = set(listing(tmp_path)) & set(NAMES)
    assert len(in_place) == moves and len(listing(tmp_path)) == moves + 1  # and the temporary folder

    server.requests.clear()
    assert_loads(tmp_path)
    assert {Path(request).stem for request in server.requests} == set(NAMES) - in_place
    assert listing(tmp_path) == sorted(NAMES)


DAMAGES = {
    "it has 0 bytes where 25,888 are expected": (IMAGES, b""),
    "it has 40 bytes where 41 are expected": (LABELS, RAW[LABELS][:-1]),
    "it has more than the 41 bytes that are expected": (LABELS, RAW[LABELS] + b"\0"),
    "it begins with 3c68746d6c3e2020 where 0000080100000021 is expected": (LABELS, b"<html>".ljust(41)),
    "its MD5 is": (IMAGES, RAW[IMAGES][:-1] + bytes([RAW[IMAGES][-1] ^ 1])),
    "it has 25,887 bytes where": (f"{IMAGES}.gz", gzip.compress(RAW[IMAGES][:-1])),
    "Compressed file ended before": (f"{IMAGES}.gz", PACKED[f"{IMAGES}.gz"][:-10]),
    "Error -3 while decompressing": (f"{IMAGES}.gz", PACKED[f"{IMAGES}.gz"][:10] + b"\xff" * 9),
    "Not a gzipped file": (f"{IMAGES}.gz", b"<html>"),
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_damaged_file_is_named_and_kept_before_any_download(tmp_path, server, reason):
    name, content = DAMAGES[reason]
    put(tmp_path, {name: content})
    with pytest.raises(DataError) as raised:
        TorchvisionSource("MNIST", str(tmp_path)).load()
    assert str(raised.value).startswith(f"{raw_folder(tmp_path) / name} is damaged or can't be read ({reason}")
    assert str(raised.value).endswith("): delete it to download it again, or replace it by a good copy.")
    assert (raw_folder(tmp_path) / name).read_bytes() == content and server.requests == []


@pytest.mark.parametrize("name", [IMAGES, f"{IMAGES}.gz"])
@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, partial(os.symlink, "/dev/zero")], ids=["pipe", "folder", "device"]
)
def test_what_is_no_file_is_refused_unopened(tmp_path, server, name, make):
    put(tmp_path, {})
    make(raw_folder(tmp_path) / name)
    with pytest.raises(DataError) as raised:
        TorchvisionSource("MNIST", str(tmp_path)).load()
    assert f"{raw_folder(tmp_path) / name} is damaged or can't be read (it is not a regular file): " in str(
        raised.value
    )
    assert server.requests == []


def test_no_more_is_unpacked_than_expected(tmp_path, server):
    bomb = gzip.compress(bytes(100_000_000), compresslevel=1)
    put(tmp_path, {f"{LABELS}.gz": bomb})
    tracemalloc.start()
    with pytest.raises(DataError, match="it has more than the 41 bytes that are expected"):
        TorchvisionSource("MNIST", str(tmp_path)).load()
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_full_disk_is_reported_with_its_remedy(tmp_path, server, monkeypatch):
    def write_bytes(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    message = load_error(tmp_path, missing=NAMES)
    assert "there ([Errno 28] No space left on device): free some space, put the four files there, " in message
    assert listing(tmp_path) == []


def test_labels_are_checked_where_no_md5_is_known(tmp_path, server):
    path = tmp_path / LABELS
    path.write_bytes(RAW[LABELS][:-1] + b"\x09")
    assert read_idx(path, "KMNIST")[-1] == 9
    path.write_bytes(RAW[LABELS][:-1] + b"\x0a")
    with pytest.raises(ValueError, match="it has the label 10 where labels are 0 to 9"):
        read_idx(path, "KMNIST")


def test_relative_root_and_home_are_resolved(tmp_path, server, monkeypatch):
    put(tmp_path / "data", RAW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert_loads(Path("data"))
    assert_loads(Path("~/data"))
    assert server.requests == []


@pytest.mark.parametrize("files", [RAW, PACKED, dict(list(RAW.items())[1:])], ids=["raw", "packed", "one missing"])
def test_read_only_root(server, files):
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path, whose parents only their owner may enter
        root = Path(folder)
        put(root, files)
        for folder in (raw_folder(root), raw_folder(root).parent, root):
            folder.chmod(0o555)
        try:
            os.seteuid(65534 if user == 0 else user)
            if len(files) == 4:
                assert_loads(root)
            else:
                assert "Permission denied" in load_error(root, missing=NAMES[:1])
        finally:
            os.seteuid(user)
        assert listing(root) == sorted(files) and server.requests == []


def test_root_below_a_regular_file(tmp_path, server):
    (tmp_path / "file").write_text("not a folder")
    assert "Not a directory" in load_error(tmp_path / "file" / "folder", missing=NAMES)


def test_torchvision_is_imported_only_for_a_download(tmp_path, server):
    put(tmp_path, {**PACKED, NAMES[0]: RAW[NAMES[0]]})
    code = (
        f"import sys; from mnist_vae.data import mnist; mnist.FILES = {mnist.FILES}\n"
        f"mnist.TorchvisionSource('MNIST', {str(tmp_path)!r}).load()\n"
        "assert not {'torchvision', 'sklearn', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_real_mnist(real_mnist):
    arrays = TorchvisionSource("MNIST", real_mnist).load()
    assert len(arrays.train_images) == 60_000 and len(arrays.test_images) == 10_000
    assert arrays.train_labels[:5].tolist() == [5, 0, 4, 1, 9] and arrays.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    pixels = arrays.train_images.float() / 255
    assert (float(pixels.mean()), float(pixels.std())) == pytest.approx((0.1307, 0.3081), abs=5e-5)


@pytest.mark.parametrize("dataset", DATASETS)
def test_classes_are_named_as_torchvision_names_them(dataset):
    theirs = getattr(torchvision.datasets, dataset).classes
    for ours, name in zip(DATASETS[dataset], theirs, strict=True):
        assert ours.lower() in name.lower()  # shorter, to stand above a picture
