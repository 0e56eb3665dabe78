"""MLflow."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import MLFlowLogger
from pytorch_lightning.utilities import rank_zero_only

from mnist_vae.training.loggers.record import RunRecord, config_in, name_of_run, name_of_sweep
from mnist_vae.utils.io import locked

SQLITE = "sqlite:///"
# Variables of mlflow, unless the user has set them: no reports of its use to its makers, no routine messages.
ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}


class MLflow(MLFlowLogger):
    """Lightning's logger for MLflow, with the runs in one SQLite file and their pictures in a folder beside it.

    A run that is resumed goes on under the id in `<folder>/mlflow.json`. A job of a sweep has the sweep's name as its
    tag `sweep`, by which MLflow's table of runs can be grouped.

    Args:
        folder: the run's folder.
        tracking_uri: the store, or the address of a server.
        experiment_name: name of the experiment in MLflow that the runs belong to.
        run_name: name of the run; null for that of its folder.
        tags: further tags.
    """

    def __init__(
        self,
        folder: str,
        tracking_uri: str = "sqlite:///outputs/mlflow.db",
        experiment_name: str = "mnist-vae",
        run_name: str | None = None,
        tags: dict[str, Any] | None = None,
    ) -> None:
        for variable, value in ENVIRONMENT.items():
            os.environ.setdefault(variable, value)
        self.record = RunRecord(Path(folder, "mlflow.json"))
        sweep = name_of_sweep(folder)
        with _sole_user(tracking_uri):
            self._prepare(tracking_uri, experiment_name)
            super().__init__(
                experiment_name=experiment_name,
                run_name=run_name or name_of_run(folder),
                tracking_uri=tracking_uri,
                tags={**({"sweep": sweep} if sweep else {}), **(tags or {})},
                run_id=self.record.id,
            )

    @rank_zero_only
    def _prepare(self, uri: str, experiment: str) -> None:
        """Create the experiment if there is none, and forget a run that was deleted in MLflow."""
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        client = MlflowClient(uri)
        if client.get_experiment_by_name(experiment) is None:
            client.create_experiment(experiment, artifact_location=_artifacts(uri))
        if self.record.id is not None:
            try:
                is_there = client.get_run(self.record.id).info.lifecycle_stage == "active"
            except MlflowException:
                is_there = False
            if is_there:
                client.update_run(self.record.id, status="RUNNING")
            else:
                self.record.id = None

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Log parameters by their keys on the command line, such as `objective.beta`.

        MLflow's parameters can't be changed: a run that is given more epochs keeps those with which it began.
        """
        if self.record.id is None:
            self.record.begin(str(self.run_id))
        there = self.experiment.get_run(self.run_id).data.params
        super().log_hyperparams({key: value for key, value in _flat(config_in(params)) if key not in there})

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        new = self.record.new(metrics, step)
        if new:
            super().log_metrics(new, step)

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
        """Log images (PIL) as artifacts that MLflow shows with a slider over steps."""
        for name in self.record.new({key: images}, step):
            for image in images:
                self.experiment.log_image(self.run_id, image, key=name, step=step, synchronous=True)

    @rank_zero_only
    def save(self) -> None:
        super().save()
        self.record.write()

    def finalize(self, status: str = "success") -> None:
        """Lightning calls it after fitting and again after testing, and more is to be logged after both."""
        self.save()

    @rank_zero_only
    def close(self, failed: bool = False) -> None:
        """Set the run's status."""
        self.record.write()
        super().finalize("failed" if failed else "success")


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested entries as pairs of a dotted key and a value."""
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _artifacts(uri: str) -> str | None:
    """Where pictures go: beside an SQLite file, else where the server says."""
    return (_database(uri).parent / "mlartifacts").as_uri() if uri.startswith(SQLITE) else None


def _database(uri: str) -> Path:
    return Path(uri.removeprefix(SQLITE)).absolute()


def _sole_user(uri: str) -> AbstractContextManager[None]:
    """Hold a lock on an SQLite store: two jobs of a sweep that create its tables at once would fail."""
    if not uri.startswith(SQLITE):
        return nullcontext()
    database = _database(uri)
    database.parent.mkdir(parents=True, exist_ok=True)
    return locked(database.with_name(f".{database.name}.lock"), database, wait=True)
