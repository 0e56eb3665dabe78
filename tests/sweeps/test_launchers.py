"""The switch `launcher=`: each preset runs a sweep, and ends it as the serial one does."""

import re
from pathlib import Path

import pytest

from tests import slurm
from tests.conftest import command, forked
from tests.fake_sweep import swept, table

SWEEP = ("data=digits", "model.hidden_dims=[16]", "max_epochs=1", "callbacks=none", "seed=0,1", "latent_dim=3")


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return swept(tmp_path_factory.mktemp("serial") / "sweep", *SWEEP)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["submitit_local", "ray"])
def test_other_launchers_give_the_serial_ones_numbers(launcher: str, serial: Path, tmp_path: Path) -> None:
    done = command("-m", f"launcher={launcher}", *SWEEP, f"hydra.sweep.dir={tmp_path}", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert len(table(serial)) == 2 and table(tmp_path) == table(serial)
    assert len(re.findall(r"^\[\d/2\] seed=\d   val ELBO", done.stdout, re.M)) == 2
    assert all("epoch 1/1" in path.read_text() for path in tmp_path.glob("*/train.log"))
    assert "epoch 1/1" not in done.stdout and (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_slurm_runs_each_job_on_its_machines(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    sweep = tmp_path / "sweep"
    nodes = ("accelerator=ddp_cpu", "accelerator.devices=1", "accelerator.num_nodes=2")
    words = ("data=digits", "model.hidden_dims=[16]", "max_epochs=1", "seed=0,1", f"hydra.sweep.dir={sweep}")
    environment = slurm.install(tmp_path / "bin")
    done = command("-m", "launcher=slurm", *nodes, *words, OMP_NUM_THREADS="1", **environment)
    assert done.returncode == 0, done.stderr
    for seed in (0, 1):
        run = forked(*words[:3], f"seed={seed}", "accelerator=cpu", f"hydra.run.dir={tmp_path}/alone/{seed}")
        assert run.returncode == 0, run.stderr
    together, single = (sorted(table(folder).items()) for folder in (sweep, tmp_path / "alone"))
    assert len(together) == 2
    for (_, one), (_, other) in zip(together, single, strict=True):
        assert one["test/elbo"] == pytest.approx(other["test/elbo"], rel=1e-4)
    jobs = {path.parent.name for path in sweep.glob("*/metrics.json")}
    assert {path.name for path in sweep.iterdir() if path.is_dir() and not path.name.startswith(".")} == jobs
    assert all(len(list((sweep / job / "tensorboard").glob("events.*"))) == 1 for job in jobs)

    preview = forked(*nodes, *words, script="scripts/sbatch.py", **environment)
    assert preview.returncode == 0, preview.stderr
    assert preview.stdout.strip() == (tmp_path / "bin" / "submitted.sh").read_text().strip()


@pytest.mark.parametrize("words", [["model=mlp,conv", "latent_dim=2,8"], ["sweep=latent_beta", "beta=1"], ["seed=1"]])
def test_the_script_that_would_be_submitted(words: list[str]) -> None:
    words = [*words, "hydra.launcher.partition=gpu", "accelerator.num_nodes=2"]
    done = forked(*words, script="scripts/sbatch.py")
    assert done.returncode == 0, done.stderr
    text = done.stdout
    if "seed=1" not in words:
        assert "#SBATCH --array=0-3" in text
    for line in ("--partition=gpu", "--nodes=2", "--ntasks-per-node=1", "--time=240", "--mem=8GB", "--cpus-per-task=4"):
        assert f"#SBATCH {line}\n" in text
    assert "-m submitit.core._submit" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["latnt_dim=2,3"], "did you mean latent_dim?"),
        (["latent_dim=2,x"], "latent_dim=x"),
        (["latent_dim=2,0"], "latent_dim=0: it must be 1 or more"),
        (["sweep=search"], "this shows sweeps over given values"),
    ],
)
def test_a_sweep_that_could_not_run_is_not_shown(words: list[str], message: str) -> None:
    done = forked(*words, script="scripts/sbatch.py")
    assert done.returncode != 0 and message in done.stderr and len(done.stderr.splitlines()) == 1


def test_slurm_without_a_cluster_is_reported(tmp_path: Path) -> None:
    done = forked("-m", "launcher=slurm", "data=digits", "seed=0,1", f"hydra.sweep.dir={tmp_path}")
    assert done.returncode != 0 and "there is no srun on this machine" in done.stderr
    assert len(done.stderr.splitlines()) == 1
