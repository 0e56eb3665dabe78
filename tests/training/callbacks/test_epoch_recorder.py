"""The rows of metrics.csv, of a module in a plain trainer."""

import csv
import logging
import math
from pathlib import Path
from typing import Any

import pytest

from mnist_vae.training.callbacks.epoch_recorder import EpochRecorder
from mnist_vae.training.module import VAEModule
from tests.training.test_module import Known, fit, vae_module


def table(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open() as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def recorded(folder: Path, net: VAEModule | None = None, **arguments: Any) -> EpochRecorder:
    """The recorder of a training with these arguments of the trainer."""
    recorder = EpochRecorder(folder)
    fit(recorder, net=net, enable_checkpointing=True, **arguments)
    return recorder


def test_an_epochs_row_has_its_metrics_and_those_of_its_own_validation_only(tmp_path: Path) -> None:
    recorder = recorded(tmp_path, max_epochs=3, check_val_every_n_epoch=2)
    assert [(row["epoch"], row["step"]) for row in recorder.rows] == [(1, 5), (2, 10), (3, 15)]
    assert ["val/elbo" in row for row in recorder.rows] == [False, True, False]
    assert recorder.images == 3 * 32 and table(tmp_path) == recorder.rows
    for row in recorder.rows:
        assert row["train/images_per_second"] == pytest.approx(32 / row["seconds"]) and "train/loss" in row
        assert not [name for name in row if name.endswith("_step") or name.startswith("test/")]


def test_the_sanity_check_is_no_validation_of_the_first_epoch(tmp_path: Path) -> None:
    recorder = recorded(tmp_path, max_epochs=2, check_val_every_n_epoch=2, num_sanity_val_steps=2)
    assert ["val/elbo" in row for row in recorder.rows] == [False, True]


def test_its_state_goes_on_where_a_checkpoint_left_it(tmp_path: Path) -> None:
    first, second = recorded(tmp_path), EpochRecorder(tmp_path)
    second.load_state_dict(first.state_dict())
    assert second.rows == first.rows and second.images == 32


def test_the_end_of_an_epoch_is_logged_with_the_whole_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = EpochRecorder(tmp_path)
    recorder.rows = [{"epoch": 3, "seconds": -1.0, "train/loss": 120.5, "val/elbo": -99.25}]
    with caplog.at_level(logging.INFO):
        recorder.end_epoch(max_epochs=12)
        del recorder.rows[0]["val/elbo"]
        recorder.end_epoch(max_epochs=12)
    assert recorder.rows[0]["seconds"] >= 0
    with_validation, without = caplog.messages
    assert with_validation.startswith("epoch  3/12   train loss   120.500   val elbo   -99.250 ")
    assert without.startswith("epoch  3/12   train loss   120.500    ") and "elbo" not in without


def test_metrics_that_only_later_epochs_have_get_a_column(tmp_path: Path) -> None:
    recorder = EpochRecorder(tmp_path)
    recorder.rows = [{"epoch": 1.0, "a": math.pi}, {"epoch": 2.0, "b": 1e-300}]
    recorder.write()
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0] == "epoch,a,b" and table(tmp_path) == recorder.rows


def test_the_means_are_those_of_the_module(tmp_path: Path) -> None:
    (row,) = recorded(tmp_path, vae_module(objective=Known())).rows
    for split in ("train", "val"):
        assert row[f"{split}/kl"] == pytest.approx(3 * row[f"{split}/loss"]) != 0
