"""Suite `scaling`: what an image costs as sizes grow, on one core and on two, and what a job of a sweep costs."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.commands import TRAIN, CommandFailed, python
from benchmarks.results import Comparison, Measured, Results

AXES: dict[str, tuple[str, list[int]]] = {
    "batch size": ("batch_size={}", [32, 128, 512, 2048]),
    "width": ("model.hidden_dims=[{}]", [100, 400, 1600]),
    "latent size": ("latent_dim={}", [2, 20, 200]),
}
JOBS = (1, 4, 16)
BARE = ("callbacks=none", "logger=none", "max_epochs=2")


def suite(rounds: int, data: list[str]) -> Results:
    """Every point once in each round."""
    points = list(_points())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = [count for count in (1, 2) if count <= cores]
    costs = [Measured(name, "µs/image", [], x) for name, x, _ in points]
    costs += [Measured("cores", "µs/image", [], count) for count in threads]
    jobs = [Measured("jobs of a sweep", "s/job", [], count) for count in JOBS]
    for _ in range(rounds):
        commands: list[tuple[list[str], dict[str, str]]] = [([word], {}) for _, _, word in points]
        commands += [([], {"OMP_NUM_THREADS": str(count)}) for count in threads]
        for cost, (words, environment) in zip(costs, commands, strict=True):
            cost.values.append(microseconds([*words, *data], environment))
        for measured, count in zip(jobs, JOBS, strict=True):
            measured.values.append(seconds_per_job(count))
    comparisons = []
    if len(threads) == 2:
        comparisons.append(Comparison.quotient("one core / two", costs[-2], costs[-1]))
    return Results("scaling", costs + jobs, comparisons)


def microseconds(words: list[str], environment: dict[str, str]) -> float:
    """Of an image in the second epoch of a run, validation and checkpoints included."""
    with tempfile.TemporaryDirectory() as folder:
        python(TRAIN, *BARE, *words, f"hydra.run.dir={folder}/run", **environment)
        rows = (Path(folder) / "run" / "metrics.csv").read_text().splitlines()
        row = dict(zip(rows[0].split(","), rows[-1].split(","), strict=True))
        per_second = float(row["train/images_per_second"])
    return 1e6 / per_second


def seconds_per_job(count: int) -> float:
    """Of a serial sweep, its start and its report included."""
    seeds = f"seed={','.join(map(str, range(count)))}"
    with tempfile.TemporaryDirectory() as folder:
        words = [TRAIN, "-m", seeds, *BARE, "data=digits", f"hydra.sweep.dir={folder}/sweep"]
        done = python(*words)
        complete = list(Path(folder).glob("sweep/*/metrics.json"))
    if len(complete) != count:
        raise CommandFailed(f"{len(complete)} of {count} jobs are complete:\n{done.output}")
    return done.seconds / count


def _points() -> Iterator[tuple[str, float, str]]:
    for name, (word, values) in AXES.items():
        for value in values:
            yield name, value, word.format(value)
