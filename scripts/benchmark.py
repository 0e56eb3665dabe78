"""How fast this project is beside what a user might pick instead: tables, benchmark.json and benchmark.png.

    python scripts/benchmark.py
    python scripts/benchmark.py suite=train,whole,sweep,nll,startup,memory,scaling

train: an epoch of train.py's real path against a notebook's loop, a bare loop over tensors, pythae where it is
installed, and the arithmetic's own floor. whole: a default run, cold start to complete folder, against a plain script.
sweep: eight jobs in one command and in eight. nll: importance sampling against its straightforward form and pythae's.
startup, memory, scaling: what their names say. Whatever is compared takes turns, so that a busy moment hits all alike;
a comparison is the median of each round's quotient. Let nothing else run meanwhile.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_vae.cli import start
from mnist_vae.errors import SettingsError
from mnist_vae.files import shown
from mnist_vae.options import option

if TYPE_CHECKING:
    from benchmarks.results import Results

SUITES = ("train", "whole", "sweep", "nll", "startup", "memory", "scaling")
ROUNDS = {"train": 5, "whole": 1, "sweep": 1, "nll": 5, "startup": 5, "memory": 1, "scaling": 1}


@dataclass
class BenchmarkOptions:
    suite: str = option("train,nll,startup,memory", meaning=f"any of {','.join(SUITES)}")
    rounds: int = option(0, meaning="of each suite; 0 for " + ", ".join(f"{n} of {name}" for name, n in ROUNDS.items()))
    overrides: str = option("", meaning="keys for all runs, separated by spaces, as in 'data=digits max_epochs=2'")
    folder: str = option("outputs/benchmark", meaning="where benchmark.json and benchmark.png go")


def main(options: BenchmarkOptions) -> None:
    names = list(dict.fromkeys(options.suite.split(",")))
    for name in names:
        if name not in SUITES:
            raise SettingsError(f"suite: there is no {name!r}; it is any of {','.join(SUITES)}.")
    if options.rounds < 0:
        raise SettingsError(f"rounds={options.rounds}: it must be 0 or more.")

    import torch
    from benchmarks.picture import picture

    from mnist_vae import hardware
    from mnist_vae.files import write_figure, write_json

    logging.getLogger("mnist_vae").setLevel(logging.WARNING)  # the runs' own lines
    results = []
    begun = time.perf_counter()
    for name in names:
        print(f"… {name}", flush=True)
        results.append(_function(name)(options.rounds or ROUNDS[name], options.overrides.split()))
        print(results[-1].table() + "\n", flush=True)
    machine = hardware.describe()
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    record = {"date": date.today().isoformat(), "machine": machine, "suites": [suite.record() for suite in results]}
    write_json(folder / "benchmark.json", record)
    title = f"{machine['processor']}, {torch.get_num_threads()} threads, torch {torch.__version__}, {record['date']}"
    write_figure(folder / "benchmark.png", picture(results, title))
    missed = [c.name for suite in results for c in suite.comparisons if c.met is False]
    print(f"{title}; {(time.perf_counter() - begun) / 60:.0f} min")
    print("targets: " + (f"{len(missed)} not met: {', '.join(missed)}" if missed else "all met"))
    print(f"written to {shown(folder / 'benchmark.json')} and benchmark.png")


def _function(suite: str) -> "Callable[[int, list[str]], Results]":
    # Each imports what it needs; `startup` is about that very cost, in processes of its own.
    from benchmarks import commands, likelihood, scaling, training

    return {
        "train": training.suite,
        "whole": commands.whole,
        "sweep": commands.sweep,
        "nll": likelihood.suite,
        "startup": commands.startup,
        "memory": commands.memory,
        "scaling": scaling.suite,
    }[suite]


if __name__ == "__main__":
    start(main, BenchmarkOptions, __doc__)
