from pathlib import Path

import pytest

from mnist_vae.training.loggers.record import RunRecord, config_in, name_of_run, name_of_sweep


def test_a_value_is_new_once(tmp_path: Path) -> None:
    record = RunRecord(tmp_path / "run.json")
    record.begin("abc")
    assert record.new({"loss": 1.0, "kl": 2.0}, 10) == {"loss": 1.0, "kl": 2.0}
    assert record.new({"loss": 1.0, "elbo": 3.0}, 10) == {"elbo": 3.0}
    record.write()
    record.new({"loss": 0.5}, 20)  # not written before the process was killed
    again = RunRecord(tmp_path / "run.json")
    assert again.id == "abc"
    assert again.new({"loss": 1.0}, 10) == {} and again.new({"loss": 0.5}, 20) == {"loss": 0.5}


def test_a_value_without_a_step_is_always_new(tmp_path: Path) -> None:
    record = RunRecord(tmp_path / "run.json")
    assert record.new({"a": 1}, None) == record.new({"a": 1}, None) == {"a": 1}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"id": 5, "last_steps": {}}', '{"id": "../x", "last_steps": {}}', '{"id": "a"}']
)
def test_a_damaged_file_counts_as_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    assert RunRecord(tmp_path / "run.json").id is None


def test_the_config_is_found_in_a_modules_hyperparameters() -> None:
    assert config_in({"config": {"beta": 1}, "classes": 10}) == {"beta": 1}
    assert config_in({"choices": {}}) == {"choices": {}}


def test_runs_are_named_by_their_folders(tmp_path: Path) -> None:
    assert name_of_run(tmp_path / "outputs" / "mine") == "mine"
    assert name_of_run(tmp_path / "runs" / "2025-01-31" / "20-06-36") == "2025-01-31/20-06-36"
    assert name_of_sweep(tmp_path / "outputs" / "mine") is None


def test_a_job_is_named_within_its_sweep(tmp_path: Path) -> None:
    for name in ("study", "2025-01-31/20-06-36"):
        sweep = tmp_path / name
        sweep.mkdir(parents=True)
        (sweep / "sweep.json").write_text("{}")
        assert name_of_run(sweep / "beta=1,seed=0") == "beta=1,seed=0" and name_of_run(sweep / "a" / "b") == "a/b"
        assert name_of_sweep(sweep / "beta=1,seed=0") == name
