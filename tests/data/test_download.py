"""Downloads from a server that sends what a test says, byte by byte."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from mnist_vae.data import download as module
from mnist_vae.data.download import download

OK = b"HTTP/1.1 200 OK\r\n"
Serve = Callable[[Iterable[bytes]], str]


@pytest.fixture
def closed() -> threading.Event:
    """Set once the server noticed that the client had left."""
    return threading.Event()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, closed: threading.Event) -> Iterator[Serve]:
    """Serve the pieces given to whoever asks first; return the address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer(pieces: Iterable[bytes]) -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(10_000)
                try:
                    for piece in pieces:
                        connection.sendall(piece)
                except OSError:
                    closed.set()

        def start(pieces: Iterable[bytes]) -> str:
            threading.Thread(target=answer, args=(pieces,), daemon=True).start()
            return f"http://127.0.0.1:{listening.getsockname()[1]}/file.gz"

        yield start


def slowly(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        time.sleep(0.02)
        yield piece


@pytest.mark.parametrize("head", [OK + b"Content-Length: 6\r\n\r\n", OK + b"\r\n"], ids=["length", "no length"])
def test_content_is_returned_and_nothing_printed(serve: Serve, capfd: pytest.CaptureFixture[str], head: bytes) -> None:
    assert download(serve(slowly([head, b"abc", b"def"])), largest=6) == b"abcdef"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "pieces",
    [itertools.chain([OK + b"\r\n"], itertools.repeat(b"x")), itertools.chain([OK], itertools.repeat(b"x"))],
    ids=["content", "headers"],
)
def test_slow_server_is_given_up_after_the_total_time(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, pieces: Iterator[bytes]
) -> None:
    monkeypatch.setattr(module, "TOTAL_SECONDS", 0.2)
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match=r"it was not done after 0\.2 seconds"):
        download(serve(slowly(pieces)), largest=10**6)
    assert time.monotonic() - begin < 2


def test_abandoned_download_closes_its_connection(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, closed: threading.Event
) -> None:
    monkeypatch.setattr(module, "TOTAL_SECONDS", 0.1)
    with pytest.raises(TimeoutError):
        download(serve(slowly(itertools.chain([OK + b"\r\n"], itertools.repeat(b"x")))), largest=10**6)
    assert closed.wait(5)


def test_endless_content_is_given_up_beyond_the_largest_size(serve: Serve, closed: threading.Event) -> None:
    with pytest.raises(ValueError, match="it sends more than 1,000,000 bytes"):
        download(serve(itertools.chain([OK + b"\r\n"], itertools.repeat(bytes(10_000)))), largest=10**6)
    assert closed.wait(5)


def test_error_of_the_connection_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(OSError, match="Connection refused"):
        download("http://127.0.0.1:1/file.gz", largest=1)
