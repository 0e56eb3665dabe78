"""TensorBoard with short names for runs.

TensorBoard names a run by the folder of its event files below its `--logdir`, so that every name ends in `/tensorboard`
and, in a sweep, repeats the overrides that all jobs have. Here its `--logdir` is a temporary folder of links to these
folders, under shorter names.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePath

SECONDS = 30  # between two looks for new runs


def serve(top: Path, options: list[str]) -> int:
    """Run TensorBoard on all runs below a folder until it ends; return its exit code.

    Args:
        options: of TensorBoard.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that TensorBoard is ended too
    with tempfile.TemporaryDirectory() as view:
        update_links(top, Path(view))
        with subprocess.Popen([sys.executable, "-m", "tensorboard.main", "--logdir", view, *options]) as process:
            try:
                return _wait(process, top, Path(view))
            except KeyboardInterrupt:
                return 0
            finally:
                process.terminate()


def _wait(process: "subprocess.Popen[bytes]", top: Path, view: Path) -> int:
    """Link new runs until the process ends; return its exit code."""
    while True:
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            update_links(top, view)


def update_links(top: Path, view: Path) -> None:
    """Make `view` hold a link to the event files of each run below `top`, and no other."""
    folders = [path.parent for path in top.resolve().rglob("tensorboard") if path.is_dir()]
    wanted = {view / name: folder / "tensorboard" for folder, name in short_names(folders).items()}
    for link in [path for path in view.rglob("*") if path.is_symlink()]:
        if wanted.get(link) != Path(os.readlink(link)):
            link.unlink()
    for link, target in sorted(wanted.items()):
        # A run inside another run's folder would be linked from there.
        if not link.is_symlink() and not any(parent.is_symlink() for parent in link.parents):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)


def short_names(folders: Iterable[PurePath]) -> dict[PurePath, str]:
    """A name for each run's folder: without the folders that all are in, and the overrides that all neighbours have."""
    paths = {folder: Path(os.path.abspath(folder)) for folder in sorted(set(folders))}
    neighbours = defaultdict(list)
    for path in paths.values():
        neighbours[path.parent].append(set(path.name.split(",")))
    above = os.path.commonpath([path.parent for path in paths.values()]) if paths else ""
    names = {}
    for folder, path in paths.items():
        others = neighbours[path.parent]
        shared = set.intersection(*others) if len(others) > 1 else set()
        name = ",".join(word for word in path.name.split(",") if word not in shared) or path.name
        names[folder] = str(path.with_name(name).relative_to(above))
    taken = Counter(names.values())
    return {
        folder: name if taken[name] == 1 else str(paths[folder].relative_to(above)) for folder, name in names.items()
    }
