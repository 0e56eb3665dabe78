"""How fast this project is beside what a user might pick instead: tables, benchmark.json and benchmark.png.

    python scripts/benchmark.py
    python scripts/benchmark.py suite=quality,train,whole,sweep,nll,startup,memory,scaling

quality: seconds until a test ELBO is reached. train: an epoch of train.py's real path against a notebook's loop, a bare
loop over tensors, pythae where it is installed, and the arithmetic's own floor. whole: a default run, cold start to
complete folder, against a plain script.
sweep: eight jobs in one command and in eight. nll: importance sampling against its straightforward form and pythae's.
startup, memory, scaling: what their names say. Whatever is compared takes turns, so that a busy moment hits all alike;
a comparison is the median of each round's quotient. Let nothing else run meanwhile.
reproduction: models of pythae's table of results, trained by both one after the other for as many epochs as rounds, and
their NLL; an epoch's seconds are indicative only. samplers: densities fitted to the codes of a run, by
scripts/fit_prior.py's densities and by pythae's samplers, flows for as many epochs as rounds.
"""

import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_vae.cli.entry import start
from mnist_vae.cli.options import option
from mnist_vae.utils.errors import RunFolderError
from mnist_vae.utils.io import shown

if TYPE_CHECKING:
    from benchmarks.results import Results

SUITES = ("quality", "train", "whole", "sweep", "nll", "startup", "memory", "scaling", "reproduction", "samplers")
ROUNDS = {
    "quality": 5,
    "train": 5,
    "whole": 3,
    "sweep": 3,
    "nll": 5,
    "startup": 5,
    "memory": 1,
    "scaling": 1,
    "reproduction": 3,
    "samplers": 10,
}


@dataclass
class BenchmarkOptions:
    suite: str = option("train,nll,startup,memory", meaning=f"any of {','.join(SUITES)}")
    rounds: int = option(0, meaning="of each suite; 0 for " + ", ".join(f"{n} of {name}" for name, n in ROUNDS.items()))
    root: str | None = option(None, meaning="the folder of MNIST; $MNIST_VAE_DATA or data/ without it")
    folder: str = option("outputs/benchmark", meaning="where benchmark.json and benchmark.png go")

    def __post_init__(self) -> None:
        for name in self.suite.split(","):
            if name not in SUITES:
                raise ValueError(f"suite: there is no {name!r}; it is any of {','.join(SUITES)}")
        if self.rounds < 0:
            raise ValueError(f"rounds={self.rounds}: it must be 0 or more")


def main(options: BenchmarkOptions) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was begun is cleared away
    folder = Path(options.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        results = measure(options, folder)
    except OSError as error:
        raise RunFolderError(f"{error.filename or folder} can't be written ({error.strerror or error}).") from error
    missed = [c.name for suite in results for c in suite.comparisons if c.met is False]
    print("targets: " + (f"{len(missed)} not met: {', '.join(missed)}" if missed else "all met"))
    print(f"written to {shown(folder / 'benchmark.json')} and benchmark.png")


def measure(options: BenchmarkOptions, folder: Path) -> "list[Results]":
    """The suites asked for, one after the other; each is on the disk before the next one begins."""
    import torch
    from benchmarks.picture import picture
    from benchmarks.progress import progress
    from benchmarks.training import composed

    from mnist_vae.config.build import build_data
    from mnist_vae.figures.png import write_figure
    from mnist_vae.training import hardware
    from mnist_vae.utils.io import write_json

    data = [f"data.root={options.root}"] if options.root else []
    build_data(composed(*data))  # so that MNIST is downloaded, or the reason reported, before anything is timed
    logging.getLogger("mnist_vae").setLevel(logging.WARNING)  # the runs' own lines
    machine, today = hardware.describe(), date.today().isoformat()
    title = f"{machine['processor']}, {torch.get_num_threads()} threads, torch {torch.__version__}, {today}"
    results: list[Results] = []
    begun = time.perf_counter()
    for name in dict.fromkeys(options.suite.split(",")):
        print(f"… {name}", flush=True)
        results.append(_function(name)(options.rounds or ROUNDS[name], data))
        print(results[-1].table() + "\n", flush=True)
        record = {"date": today, "machine": machine, "suites": [suite.record() for suite in results]}
        write_json(folder / "benchmark.json", record)
        if results[-1].curves:
            write_figure(folder / "quality.png", progress(results[-1], title))
        if others := [suite for suite in results if not suite.curves]:
            write_figure(folder / "benchmark.png", picture(others, title))
    print(f"{title}; {(time.perf_counter() - begun) / 60:.0f} min")
    return results


def _function(suite: str) -> "Callable[[int, list[str]], Results]":
    # Each imports what it needs; `startup` is about that very cost, in processes of its own.
    from benchmarks import commands, likelihood, quality, reproduction, samplers, scaling, training

    suites: dict[str, Callable[[int, list[str]], Results]] = {
        "quality": quality.suite,
        "train": training.suite,
        "whole": commands.whole,
        "sweep": commands.sweep,
        "nll": likelihood.suite,
        "startup": commands.startup,
        "memory": commands.memory,
        "scaling": scaling.suite,
        "reproduction": reproduction.suite,
        "samplers": samplers.suite,
    }
    return suites[suite]


if __name__ == "__main__":
    start(main, BenchmarkOptions, __doc__)
