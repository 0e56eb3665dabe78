"""Logged values as rows of a CSV file."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from mnist_vae.utils.io import write_atomically


class StepsCSV(Logger):
    """Rows `step,name,value` in `<folder>/steps.csv`.

    Args:
        folder: the run's folder.
        last_step: the last step to keep of what an earlier process logged here; -1 for none.
    """

    HEADER = ("step", "name", "value")

    def __init__(self, folder: str, last_step: int = -1) -> None:
        super().__init__()
        self.path = Path(folder) / "steps.csv"
        self.rows: list[tuple[int, str, float]] = []
        self._start(last_step)

    name = "csv"
    version = ""

    @rank_zero_only
    def _start(self, last_step: int) -> None:
        kept = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                # A killed process may have left half a line, which has no third field or no number in the first.
                rows = [row for row in csv.reader(file) if len(row) == 3 and row[0].isdigit()]
            kept = [row for row in rows if int(row[0]) <= last_step]
        write_atomically(self.path, "".join(",".join(row) + "\n" for row in (self.HEADER, *kept)).encode())

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows += [(int(step or 0), name, float(value)) for name, value in metrics.items()]

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Hyperparameters are in the run's .hydra/config.yaml already."""

    @rank_zero_only
    def save(self) -> None:
        """Append what was logged since the last call."""
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(self.rows)
        self.rows = []
