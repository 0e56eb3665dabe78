import asyncio
import socket
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.models import ColumnDataSource
from bokeh.util.token import generate_jwt_token
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.notebook import explore
from mnist_vae.explorer.server import Explorer, names_of, start
from mnist_vae.runs.load import open_run
from mnist_vae.utils.errors import DataError, SettingsError

Explored = dict[str, ExploredRun]
Folders = dict[str, Path]


def explorer_of(folders: Folders, explored: Explored, *names: str) -> Explorer:
    return Explorer({name: open_run(folders[name]) for name in names}, lambda _, name: explored[name])


def filled(explorer: Explorer, monkeypatch: pytest.MonkeyPatch, **query: str) -> Document:
    """The document of a tab whose address has this query."""
    arguments = {key: [value.encode()] for key, value in query.items()}
    context = SimpleNamespace(request=SimpleNamespace(arguments=arguments))
    monkeypatch.setattr(Document, "session_context", context)
    document = Document()
    explorer.fill(document)
    return document


@pytest.mark.parametrize(
    ("query", "heading", "run", "compare"),
    [
        ({}, "MLP, 5", 0, None),
        ({"run": "1"}, "MLP, 2", 1, None),
        ({"run": "1", "compare": "0"}, "MLP, 2", 1, 0),
        ({"run": "1", "compare": "1"}, "MLP, 2", 1, 1),
        ({"run": "9", "compare": "-1"}, "MLP, 5", 0, None),
        ({"run": "²", "compare": "x"}, "MLP, 5", 0, None),
    ],
)
def test_the_query_chooses_the_runs(
    run_folders: Folders,
    explored: Explored,
    monkeypatch: pytest.MonkeyPatch,
    query: dict[str, str],
    heading: str,
    run: int,
    compare: int | None,
) -> None:
    explorer = explorer_of(run_folders, explored, "mlp", "plane")
    document = filled(explorer, monkeypatch, **query)
    variables = document.template_variables
    assert variables["heading"].startswith(heading)
    assert variables["choices"] == ["mlp", "plane"] and variables["run"] == run and variables["compare"] == compare
    assert variables["others"] == [(1 - run, ["mlp", "plane"][1 - run])]
    shown = {source.name for source in document.select({"type": ColumnDataSource}) if source.name}
    assert ("output1" in shown) == (compare is not None and compare != run)


def test_a_run_of_its_own_has_nothing_to_choose(
    run_folders: Folders, explored: Explored, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert filled(explorer_of(run_folders, explored, "conv"), monkeypatch).template_variables["choices"] == []


def test_runs_of_other_images_or_labels_are_not_compared(
    run_folders: Folders, explored: Explored, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = explorer_of(run_folders, explored, "conditional", "mlp", "plane")
    monkeypatch.setattr(explorer.runs[1].vae, "image_shape", (3, 32, 32))
    monkeypatch.setattr(explorer.runs[2].vae, "classes", 4)
    assert filled(explorer, monkeypatch).template_variables["others"] == []


def test_a_run_that_cannot_be_explored_is_reported_on_its_page(
    run_folders: Folders, explored: Explored, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = explorer_of(run_folders, explored, "mlp", "plane")

    def fails(*_: Any) -> ExploredRun:
        raise DataError("its images are <not> here.")

    explorer.make = fails
    document = filled(explorer, monkeypatch, run="1")
    [error] = document.select({"name": "error"})
    assert error.text == "its images are &lt;not&gt; here." and document.template_variables["choices"]


def test_a_port_in_use_is_one_sentence(run_folders: Folders, explored: Explored) -> None:
    explorer = explorer_of(run_folders, explored, "mlp")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        async def serve() -> None:
            start(explorer, "127.0.0.1", port)

        with pytest.raises(SettingsError, match=rf"port={port}: .*in use\); choose another port, or port=0"):
            asyncio.run(serve())


@pytest.mark.parametrize(
    ("host", "first", "loopback"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("localhost", "localhost", True),
        ("::1", "[::1]", False),
        ("127.0.0.2", "127.0.0.2", False),
    ],
)
def test_pages_have_the_hosts_name(host: str, first: str, loopback: bool) -> None:
    names = names_of(host)
    assert names[0] == first and len(names) == 1 + loopback


def test_from_all_addresses_pages_have_the_machines_names_and_no_other() -> None:
    names = names_of("0.0.0.0")
    assert names[0] == socket.gethostname() and "127.0.0.1" in names and "*" not in names


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("nonsense.invalid", 0, "host=nonsense.invalid: there is no such address"),
        ("", 0, "host: it is empty"),
        ("127.0.0.1", 70_000, "port=70000: it must be from 0 to 65535"),
    ],
)
def test_a_wrong_address_is_one_sentence(
    run_folders: Folders, explored: Explored, host: str, port: int, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        start(explorer_of(run_folders, explored, "mlp"), host, port)


async def websocket_status(url: str, origin: str) -> int:
    """The status with which a websocket is refused to a page of an origin; 101 if it is not."""
    request = HTTPRequest(url.replace("http", "ws", 1) + "ws", headers={"Origin": origin})
    try:
        await websocket_connect(request, subprotocols=["bokeh", generate_jwt_token("anyone")])
    except HTTPClientError as error:
        return error.code
    return 101


def test_only_its_own_pages_may_talk_to_it(run_folders: Folders) -> None:
    shown = explore(run_folders["plane"])
    try:
        assert shown.url.startswith("http://127.0.0.1:")
        assert asyncio.run(websocket_status(shown.url, "http://elsewhere.example")) == 403
        assert asyncio.run(websocket_status(shown.url, shown.url.rstrip("/"))) == 101
    finally:
        shown.stop()


def test_nothing_is_loaded_from_elsewhere(run_folders: Folders) -> None:
    shown = explore(run_folders["plane"])
    try:
        html = urllib.request.urlopen(shown.url, timeout=30).read().decode()
    finally:
        shown.stop()
    assert "MLP, 2 latent dimensions" in html
    assert "https://" not in html and "http://" not in html
