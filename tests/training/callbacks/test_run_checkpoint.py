from pathlib import Path

import pytest

from mnist_vae.training.callbacks.epoch_recorder import EpochRecorder
from mnist_vae.training.callbacks.run_checkpoint import RunCheckpoint
from mnist_vae.utils.errors import SettingsError

NAN = float("nan")
ROWS = [
    {"epoch": 1.0, "val/elbo": -99.0, "val/loss": 120.0},
    {"epoch": 2.0, "val/elbo": -90.0, "val/loss": NAN},
    {"epoch": 3.0, "val/elbo": -95.0, "val/loss": 100.0},
    {"epoch": 4.0, "val/elbo": NAN, "val/loss": 110.0},
]


def checkpoint(folder: Path, monitor: str | None, mode: str, rows: list[dict[str, float]]) -> RunCheckpoint:
    recorder = EpochRecorder(folder)
    recorder.rows = rows
    return RunCheckpoint(recorder, monitor, mode)


@pytest.mark.parametrize(
    ("monitor", "mode", "best"),
    [("val/elbo", "max", 2), ("val/elbo", "min", 1), ("val/loss", "min", 3), (None, "max", 4), ("val/kl", "min", 4)],
)
def test_the_monitored_metric_chooses_the_best_epoch(monitor: str | None, mode: str, best: int, tmp_path: Path) -> None:
    assert checkpoint(tmp_path, monitor, mode, ROWS).best["epoch"] == best


def test_an_unknown_metric_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"monitor=val/kl: there is no such metric; there are val/elbo, val/loss"):
        checkpoint(tmp_path, "val/kl", "max", ROWS)._check_monitor()
    checkpoint(tmp_path, "val/elbo", "max", [{"train/loss": 1.0}])._check_monitor()  # nothing was validated


def test_its_state_is_restored_from_a_checkpoint(tmp_path: Path) -> None:
    one, two = checkpoint(tmp_path, None, "max", ROWS), checkpoint(tmp_path, None, "max", [])
    one.stopped_early = True
    two.load_state_dict(one.state_dict())
    two.recorder.load_state_dict(one.recorder.state_dict())
    assert two.stopped_early and two.best["epoch"] == 4
