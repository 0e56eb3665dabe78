"""The explorer in Chromium, as a user works with it; skipped where there is none."""

import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import mnist_vae
from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.notebook import ShownExplorer
from mnist_vae.explorer.standalone import RUNTIME, export_page

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Without these, Chromium asks for updates and the like when it starts.
QUIET = ["--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-sync"]
STROKE = [(0.3, 0.2), (0.7, 0.2), (0.6, 0.45), (0.45, 0.85)]
PATIENCE = 30_000  # ms; a server in the same process can be slow where all cores are busy
READY = "window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
MODEL = "Bokeh.documents[0].get_model_by_name"
VIEW = f"Bokeh.index.find_one({MODEL}(name)).el"
BOX = f"name => {{const {{x, y, width, height}} = {VIEW}.getBoundingClientRect(); return [x, y, width, height]}}"
# As text, since a list of numbers takes Playwright seconds for the 270,000 pixels of the samples.
PIXELS = f"name => new Uint32Array({MODEL}(name).get_array('image')[0]).join()"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        # As root, Chromium has no sandbox.
        flags = [*QUIET, "--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else QUIET
        opened = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


class Tab:
    """A tab that shows the explorer, and all that it asked for and complained of."""

    def __init__(self, browser: Any, url: str, width: int = 1400, dark: bool = False) -> None:
        scheme = "dark" if dark else "light"
        self.page = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme=scheme)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console", lambda line: self.complaints.append(line.text) if line.type in ("error", "warning") else None
        )
        self.page.goto(url)
        self.page.wait_for_function(READY, timeout=6 * PATIENCE)

    def pixels(self, name: str = "output0") -> np.ndarray:
        return np.array(self.page.evaluate(PIXELS, name).split(","), dtype=np.uint32)

    def changed(self, act: Callable[[], Any], name: str = "output0") -> np.ndarray:
        """The pixels of a picture after an action that changes them."""
        before = self.pixels(name)
        act()
        deadline = time.monotonic() + PATIENCE / 1000
        while (after := self.pixels(name)).shape == before.shape and (after == before).all():
            assert time.monotonic() < deadline, f"{name} did not change"
            self.page.wait_for_timeout(50)
        return after

    def at(self, name: str, x: float, y: float) -> tuple[float, float]:
        """A point of a plot on the page, as shares of its width and height, once the plot has been laid out."""
        self.page.evaluate(f"name => {VIEW}.scrollIntoView({{block: 'center'}})", name)
        previous = None
        while (box := self.page.evaluate(BOX, name)) != previous or not all(box[2:]):
            previous = box
            self.page.wait_for_timeout(50)
        left, top, width, height = box
        return left + x * width, top + y * height

    def draw(self, pause: int = 0) -> None:
        """Draw a stroke, after a pause in ms on its first point."""
        self.page.get_by_text("Draw", exact=True).click()
        first, *others = [self.at("canvas", *point) for point in STROKE]
        self.page.mouse.move(*first)
        self.page.mouse.down()
        self.page.wait_for_timeout(pause)
        for point in others:
            self.page.mouse.move(*point, steps=6)
        self.page.mouse.up()

    def marker(self) -> list[float]:
        return self.page.evaluate(f"() => {{const data = {MODEL}('marker').data; return [data.x[0], data.y[0]]}}")

    def click(self, x: float, y: float) -> None:
        """Click on the map, at shares of its width and height, and wait until the marker has moved."""
        before = self.marker()
        self.page.mouse.click(*self.at("map", x, y))
        deadline = time.monotonic() + PATIENCE / 1000
        while self.marker() == before:
            assert time.monotonic() < deadline, "the marker did not move"
            self.page.wait_for_timeout(50)

    def settled(self) -> list[float]:
        """Where the marker is once it has not moved for a second."""
        while True:
            before = self.marker()
            self.page.wait_for_timeout(1000)
            if self.marker() == before:
                return before

    def close(self) -> None:
        self.page.close()
        assert not self.complaints


@pytest.fixture(scope="module")
def served(run_folders: dict[str, Path]) -> Iterator[ShownExplorer]:
    shown = mnist_vae.explore([run_folders[name] for name in ("mlp", "plane", "conditional", "vamp")])
    yield shown
    shown.stop()


@pytest.fixture
def tab(browser: Any, served: ShownExplorer) -> Iterator[Tab]:
    opened = Tab(browser, served.url)
    yield opened
    opened.close()


def test_a_click_and_a_drag_on_the_map_decode_there(tab: Tab) -> None:
    tab.changed(lambda: tab.click(0.4, 0.4))
    clicked = tab.marker()
    tab.page.mouse.move(*tab.at("map", 0.5, 0.4))
    tab.page.mouse.down()
    tab.changed(lambda: tab.page.mouse.move(*tab.at("map", 0.7, 0.5), steps=10))
    tab.page.mouse.up()
    tab.page.wait_for_function(f"x => {MODEL}('marker').data.x[0] > x", arg=clicked[0], timeout=PATIENCE)


def test_a_drag_may_begin_with_a_pause(tab: Tab) -> None:
    tab.page.mouse.move(*tab.at("map", 0.4, 0.4))
    tab.page.mouse.down()
    tab.page.wait_for_timeout(500)  # a press to Bokeh
    tab.changed(lambda: tab.page.mouse.move(*tab.at("map", 0.6, 0.4), steps=10))
    tab.page.mouse.up()
    released = tab.settled()
    tab.page.mouse.move(*tab.at("map", 0.2, 0.6), steps=5)
    assert tab.settled() == released  # the pointer is not followed any more


def test_a_slider_that_is_moved_changes_the_image_and_loses_no_step(tab: Tab) -> None:
    tab.changed(lambda: tab.page.get_by_text("prior mean").click())
    handle = tab.page.locator(".noUi-handle").first
    handle.focus()
    at = lambda: float(handle.get_attribute("aria-valuenow"))  # noqa: E731
    before = at()

    def press(key: str, times: int) -> None:
        for _ in range(times):
            tab.page.keyboard.press(key)
            tab.page.wait_for_timeout(30)

    tab.changed(lambda: press("ArrowRight", 20))
    moved = at() - before
    press("ArrowLeft", 20)
    tab.settled()
    assert moved == pytest.approx(20 * 0.05) and at() == pytest.approx(before)


def test_buttons_choose_codes(tab: Tab) -> None:
    tab.changed(lambda: tab.page.get_by_text("random code").click())
    tab.changed(lambda: tab.page.get_by_text("prior mean").click())
    tab.changed(lambda: tab.page.get_by_text("random test image", exact=True).click())


def test_a_stroke_is_reconstructed_with_its_nats(tab: Tab) -> None:
    tab.changed(tab.draw)
    assert (tab.pixels("input") & 255).max() == 255
    for text in ("ELBO", "reconstruction", "KL", "nearest training images", "class by nearest neighbours"):
        assert tab.page.get_by_text(text).first.is_visible(), text


def test_a_stroke_may_begin_with_a_pause_and_a_click_is_a_dot(tab: Tab) -> None:
    tab.changed(lambda: tab.draw(pause=500))  # a press to Bokeh
    tab.changed(lambda: tab.page.mouse.click(*tab.at("canvas", 0.5, 0.9)))
    strokes = tab.page.evaluate(f"() => {MODEL}('strokes').data.xs.map(xs => xs.length)")
    assert len(strokes) == 2 and strokes[0] > len(STROKE) and strokes[1] == 1


def test_a_stroke_may_come_before_the_first_events_have_been_handled(tab: Tab) -> None:
    events = [
        ("panstart", 0.3, 0.8),
        ("pan", 0.7, 0.8),
        ("pan", 0.5, 0.4),
        ("panend", 0.45, 0.2),
        ("doubletap", 0.2, 0.2),
    ]
    send = f"{MODEL}('canvas').trigger_event({{event_name, x, y}})"
    tab.changed(lambda: tab.page.evaluate(f"events => events.forEach(([event_name, x, y]) => {send})", events))
    assert tab.page.evaluate(f"() => {MODEL}('strokes').data.xs") == [[0.3, 0.7, 0.5, 0.45], [0.2]]


def test_a_stroke_may_end_beside_the_canvas(tab: Tab) -> None:
    tab.page.get_by_text("Draw", exact=True).click()
    tab.page.mouse.move(*tab.at("canvas", 0.3, 0.2))
    tab.page.mouse.down()
    for point in ((0.6, 0.25), (0.8, 0.5), (1.2, 0.6)):
        tab.page.mouse.move(*tab.at("canvas", *point), steps=6)
    tab.changed(tab.page.mouse.up)
    tab.page.get_by_text("clear", exact=True).click()
    tab.page.get_by_text("log p(z)").wait_for(timeout=PATIENCE)


def test_a_picture_is_uploaded(tab: Tab) -> None:
    tab.page.get_by_text("Draw", exact=True).click()
    image, content = Image.new("L", (90, 90), 255), io.BytesIO()
    ImageDraw.Draw(image).line([(20, 20), (70, 20), (40, 80)], width=8)
    image.save(content, format="PNG")
    file = {"name": "seven.png", "mimeType": "image/png", "buffer": content.getvalue()}
    tab.changed(lambda: tab.page.locator("input[type=file]").set_input_files(file), "input")
    tab.changed(lambda: tab.page.get_by_text("Code", exact=True).click() or tab.page.get_by_text("prior mean").click())
    tab.page.get_by_text("Draw", exact=True).click()
    tab.changed(lambda: tab.page.locator("input[type=file]").set_input_files(file))  # the same one again
    broken = {"name": "seven.png", "mimeType": "image/png", "buffer": b"no picture"}
    tab.page.locator("input[type=file]").set_input_files(broken)
    tab.page.get_by_text("the picture cannot be read: it is none of").wait_for(timeout=PATIENCE)


def test_samples_and_interpolations(tab: Tab) -> None:
    tab.page.get_by_text("Sample", exact=True).click()
    tab.changed(lambda: tab.page.get_by_text("other samples").click(), "samples0")
    tab.changed(lambda: tab.page.mouse.click(*tab.at("samples0 picture", 0.55, 0.55)))
    tab.page.get_by_text("Interpolate", exact=True).click()
    tab.changed(lambda: tab.page.get_by_text("two random test images").click(), "strip0")


def test_two_runs_side_by_side_and_a_label_that_keeps_the_code(browser: Any, served: ShownExplorer) -> None:
    tab = Tab(browser, f"{served.url}?run=2&compare=0")
    both = lambda: [tab.pixels("output0"), tab.pixels("output1")]  # noqa: E731
    before = both()
    tab.changed(lambda: tab.click(0.3, 0.4), "output1")
    marker = tab.marker()
    assert all((now != then).any() for now, then in zip(both(), before, strict=True))
    tab.changed(lambda: tab.page.get_by_label("label").select_option("4"))
    assert tab.marker() == marker
    with tab.page.expect_navigation():
        tab.page.locator("select[name=run]").select_option("1")
    tab.page.wait_for_function(READY, timeout=PATIENCE)
    assert "2 latent dimensions" in tab.page.title()
    tab.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_every_window_and_asks_no_other_host(
    browser: Any, served: ShownExplorer, width: int, dark: bool
) -> None:
    tab = Tab(browser, served.url, width, dark)
    for name in ("Draw", "Interpolate", "Sample", "Code"):
        tab.page.get_by_text(name, exact=True).click()
        assert tab.page.evaluate("() => document.documentElement.scrollWidth") <= width
    tab.changed(tab.draw)
    background = tab.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, background[4:-1].split(","))) < 60) == dark
    own = (served.url, f"blob:{served.url}", "data:", served.url.replace("http", "ws"))
    assert not [url for url in tab.requests if not url.startswith(own)]
    tab.close()


@pytest.mark.parametrize("query", ["?run=3", "?run=2&compare=0"], ids=["learned prior", "two runs"])
def test_long_titles_and_three_pictures_fit_a_telephone(browser: Any, served: ShownExplorer, query: str) -> None:
    tab = Tab(browser, f"{served.url}{query}", 390)
    if "compare" in query:
        tab.page.get_by_text("Draw", exact=True).click()
        tab.changed(tab.draw)
        tops = {tab.page.evaluate(BOX, f"{name} picture")[1] for name in ("input", "output0", "output1")}
        assert len(tops) == 1  # side by side
    tab.page.get_by_text("Code", exact=True).click()
    assert tab.page.evaluate("() => document.documentElement.scrollWidth") <= 390
    tab.close()


def runtime_folder() -> Path:
    """The folder of onnxruntime-web, if it is here."""
    folder = Path(os.environ.get("ONNXRUNTIME_WEB", "node_modules/onnxruntime-web"))
    if not all((folder / "dist" / name).is_file() for name in RUNTIME.values()):
        pytest.skip("ONNXRUNTIME_WEB does not point to the npm package onnxruntime-web")
    return folder


@pytest.mark.parametrize("name", ["mlp", "conditional"])
def test_the_page_without_a_server(browser: Any, explored: dict[str, ExploredRun], tmp_path: Path, name: str) -> None:
    export_page(explored[name], tmp_path / "page.html", runtime_folder())
    tab = Tab(browser, (tmp_path / "page.html").as_uri())
    tab.changed(lambda: tab.page.mouse.click(*tab.at("map", 0.4, 0.4)))
    tab.changed(lambda: tab.page.get_by_text("random code").click())
    tab.page.locator(".noUi-handle").first.focus()
    tab.changed(lambda: [tab.page.keyboard.press("ArrowRight") for _ in range(10)])
    tab.changed(tab.draw)
    assert tab.page.get_by_text("reconstruction").first.is_visible()
    if name == "conditional":
        chosen = tab.page.get_by_label("label")
        other = str((int(chosen.input_value()) + 1) % 10)
        tab.changed(lambda: chosen.select_option(other))
    assert not [url for url in tab.requests if not url.startswith(("file:", "blob:null/", "data:"))]
    tab.close()
