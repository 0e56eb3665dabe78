from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mnist_vae.training.loggers import TensorBoard


def test_tensorboard_goes_on_when_the_clock_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for last_step, now, value in ((-1, 2e9, 1.0), (20, 1e9, 2.0), (20, 9e8, 3.0)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        logger = TensorBoard(str(tmp_path), last_step)
        for step in (10, 20, 30):
            if step > last_step:
                logger.log_metrics({"train/loss": value}, step)
        logger.save()
        logger.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss/train")] == [(10, 1.0), (20, 1.0), (30, 3.0)]
    assert len(list((tmp_path / "tensorboard").glob("events.*"))) == 3


def test_tensorboard_writes_into_the_runs_folder_and_drops_what_is_logged_again(tmp_path: Path) -> None:
    first = TensorBoard(str(tmp_path))
    for step in (10, 20, 30):
        first.log_metrics({"train/loss": float(step)}, step)
    first.save()
    first.finalize("success")
    first.log_metrics({"train/loss": 35.0}, 35)  # still open after Lightning's finalize
    first.save()
    second = TensorBoard(str(tmp_path), last_step=20)
    for step in (30, 40):
        second.log_metrics({"train/loss": float(-step)}, step)
    second.save()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss/train")] == [(10, 10), (20, 20), (30, -30), (40, -40)]
    assert all(p.name.startswith("events.") for p in (tmp_path / "tensorboard").iterdir())


def test_a_folders_name_is_not_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("$HOME", "~", "%HOME%", str(tmp_path / "costs $HOME")):
        logger = TensorBoard(name)
        logger.log_metrics({"train/loss": 1.0}, 1)
        logger.save()
        logger.close()
        assert logger.log_dir == f"{name}/tensorboard" and list(Path(logger.log_dir).glob("events.*"))


def test_the_terms_stand_together_and_all_else_keeps_its_name(tmp_path: Path) -> None:
    logger = TensorBoard(str(tmp_path))
    logger.log_metrics({"train/elbo": 1.0, "val/kl": 2.0, "train/lr": 3.0, "train/loss_step": 4.0}, 1)
    logger.save()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"elbo/train", "kl/val", "train/lr", "train/loss_step"}


def test_a_runs_end_may_come_twice(tmp_path: Path, capsys) -> None:
    for _ in range(2):
        logger = TensorBoard(str(tmp_path))
        logger.write_projector(torch.rand(3, 2), torch.rand(3, 1, 4, 4), [1, 0, 1], ["a", "b"], 7)
    assert capsys.readouterr().out == ""
    metadata = next((tmp_path / "tensorboard").rglob("metadata.tsv")).read_text().split()
    assert metadata == ["b", "a", "b"]
    tensors = next((tmp_path / "tensorboard").rglob("tensors.tsv")).read_text().splitlines()
    assert [len(line.split("\t")) for line in tensors] == [3, 3, 3]  # the projector shows nothing of a plane
    assert (tmp_path / "tensorboard" / "projector_config.pbtxt").read_text().count("tensor_name") == 1
