"""Start TensorBoard on a folder of runs, with short names for them.

    python scripts/board.py logdir=outputs/sweeps/…

`tensorboard --logdir …` names runs by the folders of their event files: each name ends in `/tensorboard` and, in
a sweep, repeats the overrides that all jobs have. These names have neither. New runs appear within half a minute.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from mnist_vae.cli.entry import start
from mnist_vae.cli.options import option
from mnist_vae.utils.errors import SettingsError


@dataclass
class BoardOptions:
    logdir: str = option("outputs", meaning="a run's folder, or a folder of runs, such as a sweep")
    port: int = option(6006, meaning="the port that it listens on; 0 for any that is free")
    host: str = option("localhost", meaning="the address that it listens on")

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port={self.port}: it must be from 0 to 65535")


def main(options: BoardOptions) -> None:
    from mnist_vae.training.board import serve

    top = Path(options.logdir).expanduser()
    if not top.is_dir():
        raise SettingsError(f"logdir={options.logdir}: there is no such folder.")
    sys.exit(serve(top, ["--port", str(options.port), "--host", options.host]))


def command() -> None:
    start(main, BoardOptions, __doc__)
