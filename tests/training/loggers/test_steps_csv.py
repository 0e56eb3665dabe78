import csv
from pathlib import Path

from mnist_vae.training.loggers import StepsCSV


def rows(folder: Path) -> list[tuple[int, str, float]]:
    with (folder / "steps.csv").open() as file:
        return [(int(r["step"]), r["name"], float(r["value"])) for r in csv.DictReader(file)]


def test_steps_are_appended_and_an_interrupted_end_is_dropped(tmp_path: Path) -> None:
    logger = StepsCSV(str(tmp_path))
    for step in (10, 20, 30):
        logger.log_metrics({"loss": step / 10}, step)
        logger.save()
    with (tmp_path / "steps.csv").open("a") as file:
        file.write("40,train/lo")  # as a kill leaves it
    again = StepsCSV(str(tmp_path), last_step=20)
    again.log_metrics({"loss": 9.0}, 30)
    again.save()
    assert rows(tmp_path) == [
        (10, "loss", 1.0),
        (20, "loss", 2.0),
        (30, "loss", 9.0),
    ]


def test_values_are_kept_exactly(tmp_path: Path) -> None:
    logger = StepsCSV(str(tmp_path))
    logger.log_metrics({"a": 0.1 + 0.2}, 1)
    logger.save()
    assert rows(tmp_path) == [(1, "a", 0.1 + 0.2)]
