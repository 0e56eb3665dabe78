"""MLflow with a local SQLite store, read back by its client."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnist_vae.training.train import train
from mnist_vae.utils.errors import SettingsError
from tests.conftest import command, composed
from tests.training.loggers.helpers import EPOCH_STEPS, RUN, STEPS, TEST_STEP, interrupted_and_resumed

# Not imported here: the logger sets variables that mlflow reads when it is imported.
pytestmark = pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow is not installed")


class Store:
    """A store, and the runs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.words = ("logger=mlflow", f"logger.mlflow.tracking_uri={self.uri}")

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    @property
    def runs(self) -> list[Any]:
        experiment = self.client.get_experiment_by_name("mnist-vae")
        return self.client.search_runs([experiment.experiment_id])

    def run(self, name: str) -> Any:
        """The one run of that name."""
        (run,) = [run for run in self.runs if run.info.run_name == name]
        return run

    def history(self, run: Any, name: str) -> list[tuple[int, float]]:
        return [(metric.step, metric.value) for metric in self.client.get_metric_history(run.info.run_id, name)]

    def pictures(self, run: Any, name: str, folder: Path) -> list[tuple[int, np.ndarray]]:
        """Steps and pixels of the pictures of a name."""
        found = []
        for artifact in self.client.list_artifacts(run.info.run_id, "images"):
            if artifact.path.startswith(f"images/{name}+step+") and artifact.path.endswith(".png"):
                path = self.client.download_artifacts(run.info.run_id, artifact.path, str(folder))
                found.append((int(artifact.path.split("+")[2]), np.asarray(Image.open(path))))
        return sorted(found, key=lambda picture: picture[0])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def resumed(store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float | str]]:
    folder = tmp_path_factory.mktemp("mlflow") / "mine"
    return folder, interrupted_and_resumed(folder, *store.words)


Resumed = tuple[Path, dict[str, float | str]]


def test_a_resumed_run_is_the_same_one(resumed: Resumed, store: Store) -> None:
    run = store.run("mine")
    assert run.info.status == "FINISHED" and "sweep" not in run.data.tags


def test_it_has_the_hyperparameters(resumed: Resumed, store: Store) -> None:
    expected = {"latent_dim": "3", "model.hidden_dims": "[16]", "objective.beta": "2.0", "data.name": "digits"}
    assert expected.items() <= store.run("mine").data.params.items()


def test_it_has_each_value_once(resumed: Resumed, store: Store) -> None:
    _, metrics = resumed
    run = store.run("mine")
    for name in ("train/loss", "train/elbo", "train/beta", "train/images_per_second", "val/elbo", "val/active_units"):
        assert [step for step, _ in store.history(run, name)] == EPOCH_STEPS, name
    for name in ("train/loss_step", "train/kl_step", "train/gradient_norm_step"):
        assert [step for step, _ in store.history(run, name)] == STEPS, name
    for name in ("test/elbo", "test/reconstruction", "test/kl", "test/active_units"):
        assert store.history(run, name) == [(TEST_STEP, pytest.approx(metrics[name], rel=1e-6))]


def test_it_has_the_pictures_of_every_epoch(resumed: Resumed, store: Store, tmp_path: Path) -> None:
    folder, _ = resumed
    for kind in ("reconstructions", "samples", "z_kl_per_dimension"):
        pictures = store.pictures(store.run("mine"), f"visuals~{kind}", tmp_path)
        assert [step for step, _ in pictures] == EPOCH_STEPS
        if kind != "z_kl_per_dimension":
            for epoch, (_, pixels) in enumerate(pictures, start=1):
                ours = Image.open(folder / "figures" / "epochs" / f"{kind}_000{epoch}.png")
                assert np.array_equal(pixels, np.asarray(ours))


def test_pictures_lie_beside_the_store(resumed: Resumed, store: Store) -> None:
    assert {path.name for path in store.folder.iterdir()} == {"mlflow.db", ".mlflow.db.lock", "mlartifacts"}
    assert {path.name for path in resumed[0].iterdir() if "mlflow" in path.name} == {"mlflow.json"}


def test_a_sweeps_job_that_is_given_more_epochs_stays_the_same_one(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words, folder = (*RUN, "max_epochs=1", "callbacks=none", *store.words), tmp_path / "study" / "longer"
    folder.mkdir(parents=True)
    (tmp_path / "study" / "sweep.json").write_text("{}")
    train(composed(*words), folder)
    train(composed(*words, "max_epochs=2"), folder)
    run = store.run("longer")
    assert run.data.tags["sweep"] == "study"
    assert [step for step, _ in store.history(run, "val/elbo")] == [10, 21]
    assert [step for step, _ in store.history(run, "test/elbo")] == [11, 22]
    assert run.data.params["max_epochs"] == "1"  # MLflow's parameters can't be changed
    printed = capfd.readouterr()
    assert "mlflow." not in printed.out + printed.err


def test_a_failed_run_is_marked_and_a_deleted_one_is_begun_anew(store: Store, tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        with pytest.raises(Exception, match="not a finite number"):
            train(composed(*RUN, "callbacks=none", *store.words, "lr=1e9"), tmp_path / "failed")
        runs.append(store.run("failed"))
        store.client.delete_run(runs[-1].info.run_id)
    assert runs[0].info.status == "FAILED" and runs[0].info.run_id != runs[1].info.run_id


@pytest.mark.slow
def test_jobs_at_the_same_time_share_a_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    sweep = (
        "seed=0,1",
        "launcher=joblib",
        "hydra.launcher.n_jobs=2",
        f"hydra.sweep.dir={tmp_path / 'sweep'}",
        "callbacks=none",
    )
    done = command("-m", *RUN, *store.words, *sweep, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert len(store.runs) == 2 and {run.info.status for run in store.runs} == {"FINISHED"}
    assert all(len(store.history(run, "val/elbo")) == 2 for run in store.runs)


@pytest.mark.parametrize("target", ["mnist_vae.training.loggers.MLflow", "pytorch_lightning.loggers.MLFlowLogger"])
def test_a_missing_package_is_one_sentence(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_vae.training.loggers.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r'logger.mine: it needs mlflow, .*: pip install -e "\.\[mlflow\]"$'):
        train(composed(*RUN, "logger=none", f"+logger.mine._target_={target}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
