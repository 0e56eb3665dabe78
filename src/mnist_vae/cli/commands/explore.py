"""Explore runs in the browser: their latent spaces, with sliders, drawing, interpolation and samples.

    python scripts/explore.py run=outputs/mine
    python scripts/explore.py run='outputs/sweeps/mine/*'

It serves a page on this machine until Ctrl-C, and opens it. Of several runs, the page shows one, or two side by side.
It needs the extra `explore`.
"""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from mnist_vae.cli.entry import start
from mnist_vae.cli.options import group, option
from mnist_vae.cli.tools import DataOptions, PriorOptions, open_chosen
from mnist_vae.explorer.requirement import require_bokeh
from mnist_vae.runs.folder import find_runs
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.errors import SettingsError, UserError, first_line
from mnist_vae.utils.io import shown

if TYPE_CHECKING:
    from mnist_vae.analysis.encoding import ShowProgress


@dataclass
class ExploreOptions(PriorOptions):
    data: DataOptions = group(DataOptions)
    host: str = option("127.0.0.1", meaning="the address that it listens on; 0.0.0.0 for other machines too")
    port: int = option(5006, meaning="the port that it listens on; 0 for any that is free")
    open: bool = option(True, meaning="open the page in a browser")
    export: str = option("", meaning="write the page to this file instead, as explore.html; it needs no server")
    runtime: str = option("node_modules/onnxruntime-web", meaning="for export: the npm package's folder")

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port={self.port}: it must be from 0 to 65535")


def main(options: ExploreOptions) -> None:
    require_bokeh()
    from mnist_vae.explorer.explored_run import ExploredRun
    from mnist_vae.explorer.server import Explorer, serve
    from mnist_vae.training import hardware

    bar = partial(tqdm, desc="encoding", unit="batch", leave=False, disable=None)
    with hardware.pinned_threads():
        if options.export:
            check_export(options)
            export(options, opened(options), bar)
            return
        runs = opened(options)
        explorer = Explorer(runs, lambda run, name: ExploredRun(run, name, options.data.root, bar))
        serve(explorer, options.host, options.port, options.open)


def check_export(options: ExploreOptions) -> None:
    """Raise SettingsError if the page cannot be written there."""
    path = Path(options.export).expanduser()
    if path.is_dir():
        raise SettingsError(f"export={options.export}: it is a folder; name a file, as explore.html.")
    if not path.absolute().parent.is_dir():
        raise SettingsError(f"export={options.export}: there is no folder {shown(path.absolute().parent)}.")


def export(options: ExploreOptions, runs: dict[str, OpenRun], bar: "ShowProgress") -> None:
    """Write the page of one run to a file.

    Raises:
        SettingsError: there are several runs, or the runtime is missing.
        ExportError: see export_page.
    """
    from mnist_vae.analysis.export import parts
    from mnist_vae.explorer.explored_run import ExploredRun
    from mnist_vae.explorer.standalone import export_page, runtime_files

    if len(runs) > 1:
        raise SettingsError(f"export={options.export}: the page is of one run, and run={options.run} are {len(runs)}.")
    [(name, run)] = runs.items()
    path, runtime = Path(options.export).expanduser(), Path(options.runtime).expanduser()
    parts(run.vae)  # a run that cannot be exported is refused before it is asked for a runtime
    runtime_files(runtime)
    export_page(ExploredRun(run, name, options.data.root, bar), path, runtime)
    tqdm.write(f"{shown(path)} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser, or put it on a web server")


def opened(options: ExploreOptions) -> dict[str, OpenRun]:
    """The runs that the options name, by short names; those of several that cannot be opened are reported.

    Raises:
        UserError: there is no run that can be opened.
    """
    from mnist_vae.training.board import short_names

    paths = find_runs(options.run)
    names = short_names(paths)
    runs = {}
    for path in tqdm(paths, unit="run", leave=False, disable=len(paths) == 1 or None):
        try:
            runs[names[path]] = open_chosen(path, options)
        except UserError as error:
            if len(paths) == 1:
                raise
            tqdm.write(f"left out {shown(path)}: {first_line(error)}", file=sys.stderr)
    if not runs:
        raise SettingsError(f"run={options.run}: none of these runs can be opened.")
    return runs


def command() -> None:
    start(main, ExploreOptions, __doc__)
