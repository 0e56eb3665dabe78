"""Suite `quality`: seconds until a test ELBO is reached, from the first step and from a cold start."""

import json
import math
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.commands import ROOT, TRAIN, CommandFailed, python
from benchmarks.competitors import NotebookLoop, Pythae, is_installed
from benchmarks.curves import Curve, read_curve, seconds_to
from benchmarks.results import Comparison, Measured, Results

LEVELS = (-110.0, -106.0, -102.0, -100.75, -100.0)  # nats
EPOCHS = 10
# Each command of this project, by the name that it has in the table.
RUNS = {
    "python train.py": [],
    "model=conv": ["model=conv", "latent_dim=16"],
    "model=conv init=pytorch": ["model=conv", "latent_dim=16", "init=pytorch"],
    "experiment=speedrun": ["experiment=speedrun"],
    "experiment=speedrun_deep": ["experiment=speedrun_deep"],
}
CALLBACK = "+callbacks.curve={_target_: benchmarks.curves.CurveCallback}"
# (slow, fast, ELBO, how many times as fast it must at least be)
RECORDS = (
    (NotebookLoop.name, "experiment=speedrun", -106.0, 5.0),
    ("model=conv init=pytorch", "experiment=speedrun_deep", -100.75, 5.0),
)


def suite(rounds: int, data: list[str]) -> Results:
    """Every training once in each round, with the round's number as its seed."""
    others = [NotebookLoop.name, *([Pythae.name] if is_installed("pythae") else [])]
    curves: dict[str, list[Curve]] = {name: [] for name in (*others, *RUNS)}
    starts: dict[str, list[float]] = {name: [] for name in curves}
    for seed in range(rounds):
        for name, found in curves.items():
            launched = time.time()
            found.append(_ours(name, seed, data) if name in RUNS else _others(name, seed, data))
            starts[name].append(found[-1].first_step - launched)
    measured = []
    for name, found in curves.items():
        for level in LEVELS:
            needed = [seconds_to(curve, level) for curve in found]
            times = [(a, start + a) for start, a in zip(starts[name], needed, strict=True) if math.isfinite(a)]
            if times:
                from_step, from_start = map(list, zip(*times, strict=True))
                reached = "" if len(times) == len(found) else f" ({len(times)} of {len(found)} seeds)"
                measured.append(Measured(f"{name}, to {level:g}{reached}", "s", from_step))
                measured.append(Measured(f"{name}, to {level:g} from a cold start", "s", from_start))
        measured.append(Measured(f"{name}, final test ELBO", "nats", [curve.points[-1][1] for curve in found]))
    return Results("quality", measured, records(curves), _finals(curves), _points(curves))


def records(curves: dict[str, list[Curve]]) -> list[Comparison]:
    """How many times as fast each record is, to the level; where the slow one ends below it, to its own end."""
    compared = []
    for slow, fast, level, target in RECORDS:
        pairs = zip(curves[slow], curves[fast], strict=True)
        quotients = [min(seconds_to(a, level), a.points[-1][0]) / seconds_to(b, level) for a, b in pairs]
        compared.append(Comparison(f"{slow} / {fast}, to {level:g}", quotients, target, "at least"))
    return compared


def _finals(curves: dict[str, list[Curve]]) -> list[str]:
    lines = []
    for name, found in curves.items():
        ends = [curve.points[-1] for curve in found]
        seconds, elbos = zip(*ends, strict=True)
        lines.append(
            f"{name}: test ELBO {statistics.mean(elbos):.2f} (mean of {len(found)} seeds) after "
            f"{statistics.median(seconds):.1f} s (median)"
        )
    return lines


def _points(curves: dict[str, list[Curve]]) -> dict[str, list[list[tuple[float, float]]]]:
    return {name: [curve.points for curve in found] for name, found in curves.items()}


def _ours(name: str, seed: int, data: list[str]) -> Curve:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        done = python(TRAIN, *RUNS[name], CALLBACK, f"seed={seed}", *data, f"hydra.run.dir={run}")
        if not (run / "metrics.json").exists():
            raise CommandFailed(f"the run is not complete:\n{done.output}")
        return read_curve(run)


def _others(name: str, seed: int, data: list[str]) -> Curve:
    script = str(ROOT / "scripts" / "benchmarks" / "curves.py")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "curve.json")
        python(script, name, str(seed), str(EPOCHS), str(file), *(word.partition("=")[2] for word in data))
        found = json.loads(file.read_text())
    return Curve(found["first_step"], [tuple(point) for point in found["points"]])
