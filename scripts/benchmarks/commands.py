"""Suites of whole commands, each a process of its own: `whole`, `sweep`, `startup`, `memory`."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl

from benchmarks.results import Comparison, Measured, Results
from mnist_vae.utils.errors import UserError

ROOT = Path(__file__).parents[2]
TRAIN = str(ROOT / "train.py")
PLAIN = str(ROOT / "scripts" / "benchmarks" / "plain.py")
JOBS = 8
WARM_UP = 1  # rounds of `startup` before those that count: what lies on the disk comes into memory
IMPORTS = "import torch, pytorch_lightning"  # and no more: ending a process in order takes a while, too
# Starts a command and says what it cost. Of a process that this one started, the system would count the peak of this
# one, too, since it begins as its copy; this is small.
LAUNCH = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[2:]).returncode
seconds = time.perf_counter() - start
with open(sys.argv[1], "w") as file:
    json.dump([code, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss], file)
"""


class CommandFailed(UserError):
    """One of the commands that are timed failed; the message has what it printed."""


class Done(NamedTuple):
    """What a command cost and printed."""

    seconds: float
    peak_bytes: int
    output: str


def python(*words: str, **environment: str) -> Done:
    """`python <words>` in a process of its own; the peak is of the largest process that it was, or started.

    Raises:
        CommandFailed: it did.
    """
    paths = os.pathsep.join([str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    with tempfile.TemporaryDirectory() as place:
        cost, printed = Path(place, "cost"), Path(place, "printed")
        with printed.open("w") as output:
            subprocess.run(
                [sys.executable, "-S", "-c", LAUNCH, str(cost), sys.executable, *words],
                env={**os.environ, "PYTHONPATH": paths, **environment},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=True,
            )
        code, seconds, peak = json.loads(cost.read_text())
        said = printed.read_text()
    if code != 0:
        raise CommandFailed(f"python {' '.join(words)} failed:\n{said}")
    return Done(seconds, peak * (1 if sys.platform == "darwin" else 1024), said)


def in_turn(rounds: int, commands: dict[str, Callable[[Path], Done]]) -> dict[str, list[Done]]:
    """Every command once in each round, with an empty folder for what it writes."""
    done: dict[str, list[Done]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            with tempfile.TemporaryDirectory() as folder:
                done[name].append(command(Path(folder)))
    return done


def whole(rounds: int, data: list[str], epochs: int = 10) -> Results:
    """A default run from a cold start to its complete folder, and the plain script that trains the same network.

    Args:
        data: `data.root=…`, if it isn't the default; so for the other suites here.
    """
    run, plain = "python train.py", "plain script"

    def train(folder: Path) -> Done:
        done = python(TRAIN, *data, f"max_epochs={epochs}", f"hydra.run.dir={folder / 'run'}")
        if not (folder / "run" / "metrics.json").exists():
            raise CommandFailed(f"the run is not complete:\n{done.output}")
        return done

    done = in_turn(rounds, {run: train, plain: lambda folder: plainly(folder, data, epochs)})
    seconds = {name: Measured(name, "s", [one.seconds for one in several]) for name, several in done.items()}
    peaks = [Measured(f"{name}, peak", "MB", [one.peak_bytes / 1e6 for one in ones]) for name, ones in done.items()]
    faster = Comparison.quotient(f"{plain} / {run}", seconds[plain], seconds[run], 2.0, "at least")
    said = [re.findall(r"test ELBO\W+([\d.]+)|test loss ([\d.]+)", ones[-1].output)[-1] for ones in done.values()]
    ours, theirs = ("".join(groups) for groups in said)
    return Results("whole", [*seconds.values(), *peaks], [faster], [f"test ELBO: run -{ours}, plain script -{theirs}"])


def plainly(folder: Path, data: list[str], epochs: int) -> Done:
    """The plain script, on the same images."""
    root = [word.removeprefix("data.") for word in data]
    return python(PLAIN, *root, f"folder={folder}", f"epochs={epochs}")


def sweep(rounds: int, data: list[str]) -> Results:
    """Eight small jobs: one after the other in one command, on all cores by joblib, and as eight commands."""
    small = ["data=digits", "max_epochs=5", "latent_dim=5"]
    seeds = f"seed={','.join(map(str, range(JOBS)))}"

    def multirun(launcher: str) -> Callable[[Path], Done]:
        return lambda folder: python(
            TRAIN, "-m", seeds, *small, f"launcher={launcher}", f"hydra.sweep.dir={folder / 'sweep'}"
        )

    def commands(folder: Path) -> Done:
        each = [python(TRAIN, *small, f"seed={seed}", f"hydra.run.dir={folder / str(seed)}") for seed in range(JOBS)]
        return Done(sum(one.seconds for one in each), max(one.peak_bytes for one in each), each[-1].output)

    names = "one command, serial", "one command, joblib", f"{JOBS} commands"
    done = in_turn(rounds, dict(zip(names, [multirun("serial"), multirun("joblib"), commands], strict=True)))
    serial, joblib, several = (Measured(name, "s", [one.seconds for one in done[name]]) for name in names)
    return Results(
        "sweep",
        [serial, joblib, several],
        [
            Comparison.quotient("serial / joblib", serial, joblib, 1.35, "at least"),
            Comparison.quotient(f"{JOBS} commands / serial", several, serial, 1.5, "at least"),
        ],
        [f"{JOBS} jobs of {' '.join(small)}"],
    )


class FirstStep(pl.Callback):
    """Ends the process in the first step, once its gradient is there; all that was written is thrown away."""

    def on_before_optimizer_step(self, *_: Any) -> None:
        os._exit(0)


def startup(rounds: int, data: list[str]) -> Results:
    """`--help`, `--cfg job`, and the time to the first training step, its gradient included."""
    first = "+callbacks.first={_target_: benchmarks.commands.FirstStep}"
    commands: dict[str, Callable[[Path], Done]] = {
        "--help": lambda _: python(TRAIN, "--help"),
        "--cfg job": lambda _: python(TRAIN, "--cfg", "job", *data),
        "first step": lambda folder: python(TRAIN, first, *data, f"hydra.run.dir={folder / 'run'}"),
        IMPORTS: lambda _: python("-c", f"{IMPORTS}; import os; os._exit(0)"),
    }
    in_turn(WARM_UP, commands)
    done = in_turn(rounds, commands)
    measured = {name: Measured(name, "s", [one.seconds for one in ones]) for name, ones in done.items()}
    more = [a - b for a, b in zip(measured["first step"].values, measured[IMPORTS].values, strict=True)]
    return Results(
        "startup",
        list(measured.values()),
        [
            Comparison("--help", measured["--help"].values, 1.0, unit="s"),
            Comparison("--cfg job", measured["--cfg job"].values, 1.0, unit="s"),
            Comparison("first step beyond the imports", more, 1.5, unit="s"),
        ],
    )


def memory(rounds: int, data: list[str]) -> Results:
    """Peak resident memory of a run of two epochs, and of the plain script."""

    def run(*words: str) -> Callable[[Path], Done]:
        return lambda folder: python(TRAIN, *words, *data, "max_epochs=2", f"hydra.run.dir={folder / 'run'}")

    done = in_turn(
        rounds,
        {
            IMPORTS: lambda _: python("-c", f"{IMPORTS}; import os; os._exit(0)"),
            "train.py": run(),
            "train.py model=conv": run("model=conv"),
            "plain script": lambda folder: plainly(folder, data, 2),
        },
    )
    return Results(
        "memory", [Measured(name, "MB", [one.peak_bytes / 1e6 for one in ones]) for name, ones in done.items()]
    )
