"""The explorer in a notebook."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_vae.explorer.requirement import require_bokeh
from mnist_vae.runs.load import OpenRun, open_run
from mnist_vae.utils.errors import SettingsError

if TYPE_CHECKING:
    from mnist_vae.explorer.server import Explorer


class ShownExplorer:
    """An explorer that is served from a thread, and that a notebook shows as the value of a cell.

    Attributes:
        url: address of its page.

    Raises:
        SettingsError: it cannot be served there.
    """

    def __init__(self, explorer: "Explorer", host: str, port: int, height: int) -> None:
        self.height = height
        self._error: Exception | None = None
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(explorer, host, port, started), daemon=True)
        self._thread.start()
        started.wait()
        if self._error:
            raise self._error

    def _serve(self, explorer: "Explorer", host: str, port: int, started: threading.Event) -> None:
        from mnist_vae.explorer.server import start

        asyncio.set_event_loop(asyncio.new_event_loop())  # a notebook's own runs in its main thread
        try:
            self._server, self.url = start(explorer, host, port)
        except Exception as error:
            self._error = error
            return
        finally:
            started.set()
        self._server.io_loop.start()

    def stop(self) -> None:
        """Stop serving."""
        loop = self._server.io_loop
        loop.add_callback(self._server.stop)
        loop.add_callback(loop.stop)
        self._thread.join()

    def _repr_html_(self) -> str:
        return f'<iframe src="{self.url}" width="100%" height="{self.height}" style="border: 0"></iframe>'


def explore(
    run: str | Path | OpenRun | Sequence[str | Path | OpenRun],
    root: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    height: int = 1000,
) -> ShownExplorer:
    """Explore a run, or several, in a notebook: its latent map, sliders, drawing, interpolation and samples.

    Args:
        run: a run's folder, or a run that `open_run` or `train` returned; or several, to compare them.
        root: the folder of its images; see `OpenRun.data`.
        host, port: where its page is served; port 0 is any that is free.
        height: height of its frame in the notebook, in CSS pixels.

    Raises:
        UserError: a run cannot be opened, Bokeh is not installed, or nothing can be served there.
    """
    require_bokeh()
    from mnist_vae.explorer.explored_run import ExploredRun
    from mnist_vae.explorer.server import Explorer

    given = [run] if isinstance(run, str | Path | OpenRun) else list(run)
    if not given:
        raise SettingsError("explore: there is no run to explore.")
    opened = [one if isinstance(one, OpenRun) else open_run(one) for one in given]
    several = len(opened) > 1
    names = {f"{i}: {one.folder.path.name}" if several else one.folder.path.name: one for i, one in enumerate(opened)}
    return ShownExplorer(Explorer(names, lambda one, name: ExploredRun(one, name, root)), host, port, height)
