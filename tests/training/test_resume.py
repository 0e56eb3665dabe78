"""A killed run, started again, ends as if it had never been killed. The kills are real."""

import csv
import itertools
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.forks import Fork
from tests.training.test_train import events, rows

EPOCHS = 4
RUN = (
    "data=digits",
    "model=conv",
    "model.channels=[4,8]",
    "model.hidden_dim=16",
    "latent_dim=4",
    f"max_epochs={EPOCHS}",
    "batch_size=50",
    "data.binarize=dynamic",
    "accelerator=cpu",
    "trainer.log_every_n_steps=3",
)
STEPS = 26
TIMING = {"train_seconds", "images_per_second"}


DRAWN = "callbacks=ema"  # what has the pictures at its end, most of a tiny run's time
UNDRAWN = """
import mnist_vae.training.train as t
t.draw_all = lambda run, folder: []
"""


class Run(Fork):
    """A run in a process of its own, with what it prints in a file.

    Args:
        killer: code that runs in it before training, to choose the moment of death.
    """

    def __init__(self, folder: Path, *overrides: str, killer: str = "") -> None:
        log = folder.with_name(f"{folder.name}.log")
        before = killer if DRAWN in overrides else UNDRAWN + killer
        super().__init__("train.py", [*RUN, *overrides, f"hydra.run.dir={folder}"], log, log, before=before)


# Each patches one function, to die at the given moment of the run.
MOMENTS = {
    "inside the first epoch": """
import mnist_vae.training.module as m
step = m.VAEModule.training_step
m.VAEModule.training_step = lambda s, b, i: die() if (s.current_epoch, i) == (0, 10) else step(s, b, i)
""",
    "inside a later epoch": """
import mnist_vae.training.module as m
step = m.VAEModule.training_step
m.VAEModule.training_step = lambda s, b, i: die() if (s.current_epoch, i) == (2, 17) else step(s, b, i)
""",
    "in validation": """
import mnist_vae.training.module as m
step = m.VAEModule.validation_step
m.VAEModule.validation_step = lambda s, b, i: die() if s.current_epoch == 2 else step(s, b, i)
""",
    "between epochs": """
import mnist_vae.training.module as m
begin = m.VAEModule.on_train_epoch_start
m.VAEModule.on_train_epoch_start = lambda s: die() if s.current_epoch == 3 else begin(s)
""",
    "after the epoch's row, before its checkpoint": """
import mnist_vae.training.callbacks.epoch_recorder as c
write = c.EpochRecorder.write
c.EpochRecorder.write = lambda s: (write(s), len(s.rows) == 3 and die())
""",
    "while a checkpoint is being written": """
import mnist_vae.utils.io as f
sync, count = os.fsync, [0]
def half(file):
    count[0] += os.fstat(file).st_size > 50_000  # of all files, only checkpoints are so large
    if count[0] == 5:
        os.ftruncate(file, os.fstat(file).st_size // 2); die()
    sync(file)
f.os.fsync = half
""",
    "between the best and the last checkpoint": """
import mnist_vae.runs.checkpoints as c
save = c.AtomicCheckpointIO.save_checkpoint
def after(self, checkpoint, path, *rest, **more):
    save(self, checkpoint, path, *rest, **more)
    if checkpoint["epoch"] == 2 and "best" in str(path): die()
c.AtomicCheckpointIO.save_checkpoint = after
""",
    "after the last checkpoint of an epoch": """
import mnist_vae.training.callbacks.epoch_recorder as c
end = c.EpochRecorder.end_epoch
c.EpochRecorder.end_epoch = lambda s, m: die() if len(s.rows) == 2 else end(s, m)
""",
    "in testing": """
import mnist_vae.training.module as m
m.VAEModule.test_step = die
""",
    "before metrics.json": """
import mnist_vae.runs.folder as r
r.RunFolder.write_metrics = die
""",
}


# What is killed at each of them, in turn.
VARIANTS = {
    "elbo": ("objective.warmup_epochs=3",),
    "ema": ("callbacks=ema", "callbacks.weight_averaging.decay=0.9", "schedule=cosine"),
    "iwae": ("objective=iwae", "objective.k=3"),
    "tc": ("objective=beta_tcvae", "beta=3"),
}


def finish(run: Run) -> None:
    assert run.wait() == 0, run.stderr.read_text()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a run of each variant that was not killed."""
    folders: dict[str, Path] = {}

    def run(variant: str) -> Path:
        if variant not in folders:
            folders[variant] = tmp_path_factory.mktemp(variant) / "run"
            finish(Run(folders[variant], *VARIANTS[variant]))
        return folders[variant]

    return run


def assert_equal_runs(folder: Path, reference: Path) -> None:
    """Bit-equal weights, optimiser and metrics; the same curves, without doubled or missing points."""
    for name in ("best", "last"):
        one, two = (torch.load(f / "checkpoints" / f"{name}.ckpt", weights_only=True) for f in (folder, reference))
        assert one["epoch"] == two["epoch"] and one["global_step"] == two["global_step"]
        assert one["state_dict"].keys() == two["state_dict"].keys()
        assert all(torch.equal(one["state_dict"][key], two["state_dict"][key]) for key in one["state_dict"])
        moments = [checkpoint["optimizer_states"][0]["state"] for checkpoint in (one, two)]
        assert all(torch.equal(moments[0][i][k], moments[1][i][k]) for i in moments[0] for k in moments[0][i])
    metrics = [json.loads((f / "metrics.json").read_text()) for f in (folder, reference)]
    assert {k: v for k, v in metrics[0].items() if k not in TIMING} == {
        k: v for k, v in metrics[1].items() if k not in TIMING
    }
    timing = {"seconds", "train/images_per_second"}
    tables = [[{k: v for k, v in row.items() if k not in timing} for row in rows(f)] for f in (folder, reference)]
    assert tables[0] == tables[1] and [row["epoch"] for row in tables[0]] == [str(n + 1) for n in range(EPOCHS)]
    logs = [events(f) for f in (folder, reference)]
    assert logs[0].Tags()["scalars"] == logs[1].Tags()["scalars"]
    for tag in logs[1].Tags()["scalars"]:
        curves = [[(e.step, e.value if tag not in timing else None) for e in log.Scalars(tag)] for log in logs]
        assert curves[0] == curves[1], tag
    for tag in ("visuals/reconstructions", "visuals/samples", "visuals/z_kl_per_dimension"):
        pictures = [[(e.step, e.encoded_image_string) for e in log.Images(tag)] for log in logs]
        assert pictures[0] == pictures[1] and len(pictures[0]) == EPOCHS
    files = [
        {str(p.relative_to(f)) for p in f.rglob("*") if p.is_file() and "events." not in p.name}
        for f in (folder, reference)
    ]
    assert files[0] == files[1]  # no temporary file of a killed process among them


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "variant"), list(zip(MOMENTS, itertools.cycle(VARIANTS), strict=False)))
def test_a_run_killed_at_any_moment_ends_as_if_undisturbed(
    moment: str, variant: str, undisturbed: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert Run(folder, *VARIANTS[variant], killer=MOMENTS[moment]).wait() == -signal.SIGKILL
    assert not (folder / "metrics.json").exists()
    finish(resumed := Run(folder, *VARIANTS[variant]))
    assert "checkpoint" not in resumed.stdout.read_text()  # the line of ours that says where it goes on is enough
    assert_equal_runs(folder, undisturbed(variant))


@pytest.mark.slow
def test_a_run_killed_again_and_again_at_random_moments(undisturbed: Callable[[str], Path], tmp_path: Path) -> None:
    folder, elbo = tmp_path / "run", VARIANTS["elbo"]
    kills = 0
    for patience in (0.2, 0.5, 0.9):
        process = Run(folder, *elbo)
        wait_for((folder / "metrics.csv").exists if kills == 0 else progress(folder), process)
        time.sleep(patience)
        if process.poll() is None:
            process.kill()
            kills += 1
        process.wait()
    assert kills >= 1
    if not (folder / "metrics.json").exists():
        finish(Run(folder, *elbo))
    assert_equal_runs(folder, undisturbed("elbo"))


def progress(folder: Path) -> Callable[[], bool]:
    """Whether a further epoch has been recorded since now."""
    before = (folder / "metrics.csv").stat().st_mtime_ns
    return lambda: (folder / "metrics.csv").stat().st_mtime_ns > before


def wait_for(condition: Callable[[], bool], process: Run) -> None:
    while process.poll() is None and not condition():
        time.sleep(0.02)


@pytest.mark.slow
def test_the_steps_csv_goes_on_too(tmp_path: Path) -> None:
    def steps(folder: Path) -> list[list[str]]:
        with (folder / "steps.csv").open() as file:
            return [row[:2] if row[1] == "train/images_per_second" else row for row in csv.reader(file)]

    finish(Run(tmp_path / "undisturbed", "logger=csv"))
    Run(tmp_path / "killed", "logger=csv", killer=MOMENTS["inside a later epoch"]).wait()
    finish(Run(tmp_path / "killed", "logger=csv"))
    assert steps(tmp_path / "killed") == steps(tmp_path / "undisturbed")
    assert os.path.getsize(tmp_path / "killed" / "steps.csv") > 1000
