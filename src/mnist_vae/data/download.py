"""Download over HTTP, limited in size and in total time."""

import queue
import threading
import time
from typing import Any
from urllib.request import Request, urlopen

from tqdm import tqdm

STALL_SECONDS = 15.0  # without a byte
TOTAL_SECONDS = 600.0  # of one file; the largest of the datasets, 26 MB, at 45 kB per second
CHUNK_BYTES = 2**16


def download(url: str, largest: int) -> bytes:
    """Download a file into memory, with a progress bar where stderr is a terminal.

    Args:
        url: an http or https address.
        largest: most bytes that are accepted.

    Raises:
        TimeoutError: STALL_SECONDS passed without a byte, or TOTAL_SECONDS in all.
        ValueError: the file is larger than `largest`.
        Exception: whatever urllib and http.client raise, which is no closed list.
    """
    # The timeout of a socket is that of each operation, and a server can send its headers a byte at a time. So another
    # thread receives, which is abandoned when the time is over.
    received: queue.SimpleQueue[Any] = queue.SimpleQueue()
    abandoned = threading.Event()
    threading.Thread(target=_receive, args=(url, received, abandoned), daemon=True).start()
    deadline = time.monotonic() + TOTAL_SECONDS
    content = bytearray()
    try:
        length = _next(received, deadline)
        name = url.rpartition("/")[2]
        with tqdm(desc=name, total=length, unit="B", unit_scale=True, leave=False, disable=None) as bar:
            while chunk := _next(received, deadline):
                content += chunk
                bar.update(len(chunk))
                if len(content) > largest:
                    raise ValueError(f"it sends more than {largest:,} bytes")
    finally:
        abandoned.set()
    return bytes(content)


def _next(received: "queue.SimpleQueue[Any]", deadline: float) -> Any:
    try:
        item = received.get(timeout=max(0, deadline - time.monotonic()))
    except queue.Empty:
        raise TimeoutError(f"it was not done after {TOTAL_SECONDS:g} seconds") from None
    if isinstance(item, Exception):
        raise item
    return item


def _receive(url: str, received: "queue.SimpleQueue[Any]", abandoned: threading.Event) -> None:
    """Put the length that the server states (or None), the content in chunks, and an empty chunk; or an exception."""
    try:
        with urlopen(Request(url, headers={"User-Agent": "mnist-vae"}), timeout=STALL_SECONDS) as response:
            received.put(response.length)
            chunk = b"more"
            while chunk and not abandoned.is_set():
                chunk = response.read1(CHUNK_BYTES)
                received.put(chunk)
    except Exception as error:
        received.put(error)
