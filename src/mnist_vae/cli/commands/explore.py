"""Explore runs in the browser: their latent spaces, with sliders, drawing, interpolation and samples.

    python scripts/explore.py run=outputs/mine
    python scripts/explore.py run='outputs/sweeps/mine/*'

It serves a page on this machine until Ctrl-C, and opens it. Of several runs, the page shows one, or two side by side.
It needs the extra `explore`.
"""

import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from mnist_vae.cli.entry import start
from mnist_vae.cli.options import option
from mnist_vae.cli.tools import ImageOptions, open_chosen
from mnist_vae.runs.folder import find_runs
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.errors import SettingsError, UserError, first_line
from mnist_vae.utils.io import shown


@dataclass
class ExploreOptions(ImageOptions):
    host: str = option("127.0.0.1", meaning="the address that it listens on; 0.0.0.0 for other machines too")
    port: int = option(5006, meaning="the port that it listens on; 0 for any that is free")
    open: bool = option(True, meaning="open the page in a browser")

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port={self.port}: it must be from 0 to 65535")


def main(options: ExploreOptions) -> None:
    try:
        import bokeh  # noqa: F401
    except ImportError as error:
        raise SettingsError('explore needs bokeh, which is not installed; install it by: pip install -e ".[explore]"') from error
    from mnist_vae.explorer.explored_run import ExploredRun
    from mnist_vae.explorer.server import Explorer, serve
    from mnist_vae.training import hardware

    bar = partial(tqdm, desc="encoding", unit="batch", leave=False, disable=None)
    with hardware.pinned_threads():
        explorer = Explorer(opened(options), lambda run, name: ExploredRun(run, name, options.data.root, bar))
        serve(explorer, options.host, options.port, options.open)


def opened(options: ExploreOptions) -> dict[str, OpenRun]:
    """The runs that the options name, by short names; those of several that cannot be opened are reported.

    Raises:
        UserError: there is no run that can be opened.
    """
    from mnist_vae.training.board import short_names

    paths = find_runs(options.run)
    names = short_names(Path(os.path.commonpath(paths)), paths)
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
