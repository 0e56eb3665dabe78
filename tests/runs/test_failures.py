import json
from pathlib import Path

import pytest

from mnist_vae.runs.failures import failures_noted
from mnist_vae.utils.errors import DataError, TrainingDiverged
from tests.conftest import composed_with_hydra


def test_an_error_of_a_run_is_noted_and_raised(tmp_path: Path) -> None:
    _, hydra = composed_with_hydra("beta=3")
    with pytest.raises(TrainingDiverged), failures_noted(tmp_path, hydra):
        raise TrainingDiverged("the loss is nan.")
    failure = json.loads((tmp_path / "failed.json").read_text())
    assert failure["error"] == "the loss is nan." and failure["overrides"] == ["beta=3"]


def test_an_error_before_the_run_begins_leaves_nothing(tmp_path: Path) -> None:
    _, hydra = composed_with_hydra()
    with pytest.raises(DataError), failures_noted(tmp_path, hydra):
        raise DataError("no images.")
    assert not list(tmp_path.iterdir())
