"""Two processes on the CPU train and score as one does."""

import json
import os
from pathlib import Path

import pytest
import torch

from mnist_vae.training.distributed import run_on_processes
from tests.conftest import composed, forked, forked_sweep
from tests.synthetic import make_checkpoint
from tests.training.test_train import rows

# 1,300 training and 297 test images: batches, and shares of batches, of uneven size.
RUN = ("data=digits", "latent_dim=3", "max_epochs=2", "batch_size=111", "data.binarize=dynamic", "lr=3e-3")
MODELS = {
    "mlp": ("model.hidden_dims=[16]",),
    # With everything that has more dimensions than an image, and a validation image of which one process has none.
    "resnet": (
        *("model=resnet", "model.channels=[4,6]", "conditional=true", "posterior=full_covariance", "prior=mixture"),
        *("objective=iwae", "objective.k=3", "objective.doubly_reparameterized=true", "data.val_size=1"),
    ),
}


def report(folder: str, word: str) -> str:
    name = f"{os.environ['RANK']} of {os.environ['WORLD_SIZE']} {word}"
    (Path(folder) / name).touch()
    return name


def test_the_function_runs_once_per_rank_and_leaves_the_environment_alone(tmp_path: Path) -> None:
    before, threads = dict(os.environ), torch.get_num_threads()
    assert run_on_processes(report, 2, str(tmp_path), "hello") == "0 of 2 hello"
    assert {path.name for path in tmp_path.iterdir()} == {"0 of 2 hello", "1 of 2 hello"}
    assert dict(os.environ) == before and torch.get_num_threads() == threads


def fail(rank: str) -> None:
    if os.environ["RANK"] == rank:
        raise RuntimeError("this rank is broken")


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_failing_rank_fails_the_run(rank: str) -> None:
    with pytest.raises(Exception, match="this rank is broken"):
        run_on_processes(fail, 2, rank)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["resnet"])  # the mlp: in test_launchers, by two machines
def test_two_processes_give_the_statistics_of_one(model: str, tmp_path: Path) -> None:
    there = make_checkpoint(tmp_path / "there", composed(*RUN, *MODELS[model]))
    words = (*RUN, *MODELS[model], f"init_from={there}")
    for accelerator in ("cpu", "ddp_cpu"):
        done = forked(*words, f"accelerator={accelerator}", f"hydra.run.dir={tmp_path}/{accelerator}")
        assert done.returncode == 0 and done.stderr == "", done.stderr
        assert done.stdout.count("starting from epoch 4 of") == 1
        assert json.loads((tmp_path / accelerator / "init_from.json").read_text())["epoch"] == 4
    for name in ("cpu", "ddp_cpu"):  # one process alone writes
        assert len(list((tmp_path / name / "tensorboard").glob("events.*"))) == 1
    one, two = (rows(tmp_path / name) for name in ("cpu", "ddp_cpu"))
    assert len(one) == len(two) == 2
    for alone, together in zip(one, two, strict=True):
        for name in alone.keys() - {"seconds", "train/images_per_second"}:
            assert float(together[name]) == pytest.approx(float(alone[name]), rel=1e-4), name
    scores = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("cpu", "ddp_cpu")]
    for name in ("test/elbo", "test/reconstruction", "test/kl", "val/elbo", "train/loss"):
        assert scores[1][name] == pytest.approx(scores[0][name], rel=1e-4)
    for name in ("test/active_units", "parameters", "epochs"):
        assert scores[1][name] == scores[0][name]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cpu", "ddp_cpu", "there"]


@pytest.mark.slow
def test_it_works_inside_a_multirun(tmp_path: Path) -> None:
    sweep = ("-m", *RUN, *MODELS["mlp"], "max_epochs=1", "accelerator=ddp_cpu", "seed=0,1")
    done = forked_sweep(*sweep, f"hydra.sweep.dir={tmp_path}")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    jobs = sorted(path.parent for path in tmp_path.glob("*/metrics.json"))
    assert [job.name[:7] for job in jobs] == ["seed=0,", "seed=1,"]
    elbos = [json.loads((job / "metrics.json").read_text())["test/elbo"] for job in jobs]
    assert elbos[0] != elbos[1]
    files = [".sweep", "multirun.yaml", "report.html", *(job.name for job in jobs), "summary.csv", "sweep.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    assert all(len(list((job / "tensorboard").glob("events.*"))) == 1 for job in jobs)


@pytest.mark.slow
def test_a_mistake_or_a_nan_in_two_processes_is_reported_once(tmp_path: Path) -> None:
    done = forked(*RUN, *MODELS["mlp"], "lr=1e12", "accelerator=ddp_cpu", f"hydra.run.dir={tmp_path}/run")
    assert done.returncode != 0 and "not a finite number at epoch" in done.stderr
    assert len(done.stderr.splitlines()) == 1
