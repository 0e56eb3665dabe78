"""The study's file."""

import json
import os
from pathlib import Path

import optuna
import pytest

from mnist_vae.sweeps.study import STUDY, open_study
from mnist_vae.utils.errors import RunFolderError, SettingsError


def test_a_study_is_taken_up_again(tmp_path: Path) -> None:
    open_study(tmp_path, "minimize").ask()
    for study in (open_study(tmp_path, "minimize"), open_study(tmp_path)):
        assert study.direction == optuna.study.StudyDirection.MINIMIZE and len(study.trials) == 1
    with pytest.raises(SettingsError, match=r"hydra\.sweeper\.direction=upwards"):
        open_study(tmp_path, "upwards")


def test_an_incomplete_last_line_is_removed_and_other_damage_is_reported(tmp_path: Path) -> None:
    study = open_study(tmp_path, "maximize")
    study.tell(study.ask(), 1.0)
    journal = tmp_path / STUDY
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "wor')
    assert open_study(tmp_path, "maximize").best_value == 1
    assert all(json.loads(line) for line in journal.read_text().splitlines())
    journal.write_bytes(b"{]\n" + whole)
    with pytest.raises(RunFolderError, match=rf"{STUDY} is damaged .*; the search can't go on"):
        open_study(tmp_path)


@pytest.mark.parametrize("content", ["[" * 100_000, "7", "null", '{"op_code": 99}', '{"op_code": "${oc.env:HOME}"}'])
def test_any_damage_is_reported(content: str, tmp_path: Path) -> None:
    (tmp_path / STUDY).write_text(content + "\n")
    with pytest.raises(RunFolderError, match=rf"{STUDY} is damaged .*; the search can't go on"):
        open_study(tmp_path, "maximize")


def test_a_journal_that_is_a_link_or_a_pipe_is_refused(tmp_path: Path) -> None:
    """A stranger's folder must not make this process change another file."""
    private = tmp_path / "private"
    private.write_text("no newline at its end")
    for name, make in (("link", lambda path: path.symlink_to(private)), ("pipe", os.mkfifo)):
        (tmp_path / name).mkdir()
        make(tmp_path / name / STUDY)
        with pytest.raises(RunFolderError, match=rf"{STUDY} is a link, or no regular file"):
            open_study(tmp_path / name, "maximize")
    assert private.read_text() == "no newline at its end"
