"""Take the pictures of the explorer in the docs: docs/explorer.png and docs/explorer.gif, in headless Chromium.

    python scripts/record_explorer.py run=outputs/plane

It needs the extras `explore` and `dev`, and Chromium.
"""

import io
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from mnist_vae.cli.entry import start
from mnist_vae.cli.options import option
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.io import write_atomically

WINDOW: Any = {"width": 1400, "height": 720}
SMALLER = 0.7  # size of the recording, as a share of the window's
COLOURS = 128
FRAME, LAST_FRAME = 90, 2500  # ms
STEPS = 30  # of the drag
THREE = [
    (0.3, 0.22),
    (0.4, 0.14),
    (0.55, 0.13),
    (0.65, 0.22),
    (0.64, 0.35),
    (0.54, 0.44),
    (0.44, 0.47),
    (0.57, 0.5),
    (0.68, 0.6),
    (0.67, 0.75),
    (0.55, 0.85),
    (0.4, 0.85),
    (0.29, 0.77),
]
READY = "window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
BOX = """name => {
  const view = Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name(name))
  const {x, y, width, height} = view.el.getBoundingClientRect()
  return [x, y, width, height]
}"""


@dataclass
class RecordOptions:
    run: str = option(meaning="a run's folder; with two latent dimensions the map shows all of its space")


def main(options: RecordOptions) -> None:
    import mnist_vae

    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise SettingsError("recording needs playwright; install it by: pip install playwright") from error
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        raise SettingsError("recording needs Chromium, and there is none on the PATH.")
    shown = mnist_vae.explore(options.run)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=WINDOW)
        page.goto(shown.url)
        page.wait_for_function(READY)
        page.wait_for_timeout(1000)
        frames = list(tqdm(record(page), "recording", unit="frame", leave=False, disable=None))
        Path("docs/explorer.png").write_bytes(page.screenshot())
        browser.close()
    shown.stop()
    # One palette, so that what stays the same costs nothing; of maximum coverage, so that it has the classes' colours.
    palette = frames[-1].quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
    frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in frames]
    durations = [FRAME] * (len(frames) - 1) + [LAST_FRAME]
    animated = {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 0, "optimize": True}
    write_atomically(Path("docs/explorer.gif"), partial(frames[0].save, format="gif", **animated))
    tqdm.write("docs/explorer.png and docs/explorer.gif")


def record(page: Any) -> Iterator[Any]:
    """Drag through the map, then draw a digit; yield a frame of each step."""
    centre = at(page, "map", 0.5, 0.42)
    page.mouse.move(*at(page, "map", 0.75, 0.42))
    page.mouse.down()
    for step in range(STEPS):
        angle = 2 * math.pi * step / STEPS
        page.mouse.move(centre[0] + 125 * math.cos(angle), centre[1] + 105 * math.sin(angle), steps=2)
        yield frame(page)
    page.mouse.up()
    page.get_by_text("Draw", exact=True).click()
    page.mouse.move(*at(page, "canvas", *THREE[0]))
    page.mouse.down()
    for point in THREE[1:]:
        page.mouse.move(*at(page, "canvas", *point), steps=5)
        yield frame(page)
    page.mouse.up()
    page.wait_for_timeout(500)
    yield frame(page)


def at(page: Any, name: str, x: float, y: float) -> tuple[float, float]:
    """A point of a plot, as shares of its width and height, on the page."""
    left, top, width, height = page.evaluate(BOX, name)
    return left + x * width, top + y * height


def frame(page: Any) -> Any:
    """The page now, as a smaller image."""
    page.wait_for_timeout(60)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return image.resize((round(image.width * SMALLER), round(image.height * SMALLER)), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    start(main, RecordOptions, __doc__)
