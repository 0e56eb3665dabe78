"""Serve the explorer's pages."""

import logging
import os
import socket
import sys
import webbrowser
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import NamedTuple

import torch
from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.document import Document
from bokeh.models import Div
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.util import bind_sockets
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.page import Page, style
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.errors import SettingsError, UserError, first_line

log = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "localhost")
ANY = ("0.0.0.0", "::")  # all addresses of the machine
LARGEST = 100_000_000  # bytes of a message: an uploaded picture


class Explorer:
    """Pages that explore runs, on a server of this process.

    Args:
        runs: the runs by their names on the page.
        explored: makes an ExploredRun of a run and its name; called when the run is first shown.

    Raises:
        UserError: the first run cannot be explored.
    """

    def __init__(self, runs: Mapping[str, OpenRun], explored: Callable[[OpenRun, str], ExploredRun]) -> None:
        self.names, self.runs, self.make = list(runs), list(runs.values()), explored
        self.explored: dict[int, ExploredRun] = {}
        self.run(0)

    def run(self, index: int) -> ExploredRun:
        """The run at an index, explored once."""
        if index not in self.explored:
            self.explored[index] = self.make(self.runs[index], self.names[index])
        return self.explored[index]

    def fill(self, document: Document) -> None:
        """Fill the document of a browser's tab, by the query `?run=…&compare=…` of its address."""
        request = document.session_context.request if document.session_context else None
        arguments = request.arguments if request else {}
        run = self._index(arguments.get("run")) or 0
        compare = self._index(arguments.get("compare"))
        others = [(i, name) for i, name in enumerate(self.names) if self._comparable(run, i)]
        shown = [run, compare] if compare in dict(others) else [run]
        try:
            Page(document, [self.run(index) for index in shown if index is not None])
        except UserError as error:
            document.clear()
            style(document, "This run cannot be shown")
            document.add_root(Div(text=escape(first_line(error)), name="error"))
        choices = self.names if len(self.names) > 1 else []
        document.template_variables.update(choices=choices, run=run, others=others, compare=compare)

    def _index(self, values: list[bytes] | None) -> int | None:
        """The run that a query names by its index; None if it names none."""
        text = values[0].decode(errors="replace") if values else ""
        return int(text) if text.isascii() and text.isdigit() and int(text) < len(self.runs) else None

    def _comparable(self, index: int, other: int) -> bool:
        """Whether another run has images of the same shape, and as many labels if both have some."""
        one, two = self.runs[index].vae, self.runs[other].vae
        labels = {vae.classes for vae in (one, two) if vae.classes}
        return index != other and one.image_shape == two.image_shape and len(labels) < 2


class Served(NamedTuple):
    """A server that has started, on an event loop that has to run.

    Attributes:
        server: the server.
        url: address of the explorer's page.
    """

    server: BaseServer
    url: str


def start(explorer: Explorer, host: str, port: int) -> Served:
    """Start a server on the present thread's event loop, which the caller runs.

    Args:
        port: 0 for any that is free.

    Raises:
        SettingsError: it cannot listen there.
    """
    if not 0 <= port <= 65535:
        raise SettingsError(f"port={port}: it must be from 0 to 65535.")
    if not host:
        raise SettingsError("host: it is empty; 127.0.0.1 is this machine, 0.0.0.0 lets others reach it too.")
    try:
        sockets, port = bind_sockets(host, port)
    except socket.gaierror as error:
        raise SettingsError(f"host={host}: there is no such address ({error.strerror}).") from error
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise SettingsError(
            f"port={port}: the explorer cannot listen there on {host} ({reason}); choose another port, or port=0 for "
            "any that is free."
        ) from error
    # Only pages that it served itself may talk to it.
    names = names_of(host)
    origins = [f"{name}:{port}" for name in names]
    tornado = BokehTornado(
        {"/": Application(FunctionHandler(explorer.fill))},
        extra_websocket_origins=origins,
        websocket_max_message_size_bytes=LARGEST,
    )
    http = HTTPServer(tornado)
    http.add_sockets(sockets)
    logging.getLogger("bokeh.server.views.ws").setLevel(logging.ERROR)  # it warns whenever a tab is closed
    server = BaseServer(IOLoop.current(), tornado, http)
    server.start()
    return Served(server, f"http://{names[0]}:{port}/")


def names_of(host: str) -> list[str]:
    """The names in the addresses of pages that are served from a host, the best first."""
    address = f"[{host}]" if ":" in host else host
    if host in LOOPBACK:
        return [address, *(name for name in LOOPBACK if name != address)]
    if host not in ANY:
        return [address]
    name = socket.gethostname()
    try:
        addresses = sorted({str(info[4][0]) for info in socket.getaddrinfo(name, None)})
    except socket.gaierror:  # a machine that does not know its own name
        addresses = []
    return [name, socket.getfqdn(), *(f"[{a}]" if ":" in a else a for a in addresses), *LOOPBACK]


def serve(explorer: Explorer, host: str, port: int, open_browser: bool) -> None:
    """Serve pages until Ctrl-C.

    Raises:
        SettingsError: it cannot listen there.
    """
    server, url = start(explorer, host, port)
    if "OMP_NUM_THREADS" not in os.environ:
        # Decoding an image is too short to be shared, and threads that wait for more work take the browser's cores.
        torch.set_num_threads(1)
    log.info(f"explorer: {url} (Ctrl-C stops it)")
    sys.stdout.flush()
    if open_browser and _has_screen():
        server.io_loop.add_callback(partial(webbrowser.open, url))
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


def _has_screen() -> bool:
    """Whether a browser can be opened; without a screen, Python would start one in the terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
