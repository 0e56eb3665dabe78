"""Reading many runs: their states, their ranks, their seeds, and which of them can be compared."""

import json
import math
import time
from pathlib import Path

import pytest

from mnist_vae.sweeps.results import Sweep, read_sweep
from mnist_vae.utils.errors import RunFolderError
from tests.sweeps.test_job_results import mark
from tests.synthetic import make_failure, make_plan, make_run


def states(sweep: Sweep) -> dict[str, str]:
    return {job.name: job.state.value for job in sweep.jobs}


def test_every_state_is_reported_in_the_order_of_the_plan(tmp_path: Path) -> None:
    make_plan(tmp_path, "beta=4,seed=0", "beta=1,seed=0", "beta=2,seed=0", "beta=8,seed=0", "beta=16,seed=0")
    make_run(tmp_path / "another", -101.0, beta=3)
    make_run(tmp_path / "beta=1,seed=0", -100.0, beta=1)
    make_run(tmp_path / "beta=4,seed=0", beta=4)
    mark(tmp_path / "beta=4,seed=0")
    make_run(tmp_path / "beta=2,seed=0", beta=2)
    make_failure(tmp_path / "beta=8,seed=0", "it broke.")
    sweep = read_sweep(tmp_path)
    assert list(states(sweep).items()) == [
        ("beta=4,seed=0", "running"),
        ("beta=1,seed=0", "complete"),
        ("beta=2,seed=0", "unfinished"),
        ("beta=8,seed=0", "failed"),
        ("beta=16,seed=0", "waiting"),
        ("another", "complete"),
    ]
    assert sweep.jobs[4].settings == {"beta": 16, "seed": 0}
    assert sweep.jobs[0].seconds == 5 and len(sweep.jobs[0].rows) == 2


def test_runs_are_ranked_within_the_same_data_only(tmp_path: Path) -> None:
    make_run(tmp_path / "a", -106.0, latent_dim=2)
    make_run(tmp_path / "b", -100.0, latent_dim=8)
    make_run(tmp_path / "c", -20.0, data="digits")
    make_run(tmp_path / "d", math.nan, latent_dim=4)
    make_run(tmp_path / "e", -103.0, latent_dim=16)
    binary = make_run(tmp_path / "f", -80.0, latent_dim=8)
    metrics = json.loads((binary / "metrics.json").read_text())
    (binary / "metrics.json").write_text(json.dumps(metrics | {"binarize": "dynamic"}))
    make_run(tmp_path / "g", -70.0, conditional=True)
    groups = read_sweep(tmp_path).groups
    assert [(group.dataset[:2], [job.name for job in group.ranked]) for group in groups] == [
        (("mnist", "none"), ["b", "e", "a"]),
        (("digits", "none"), ["c"]),
        (("mnist", "dynamic"), ["f"]),
        (("mnist", "none"), ["g"]),
    ]
    assert groups[3].title == "mnist, binarize none, bernoulli likelihood, conditional"
    assert [job.name for job in groups[0].jobs] == ["b", "e", "a", "d"]  # no number, no rank
    assert groups[0].title == "mnist, binarize none, bernoulli likelihood" and groups[0].keys == ["latent_dim"]


def test_a_damaged_file_fails_its_own_job_alone(tmp_path: Path) -> None:
    make_run(tmp_path / "good", -100.0)
    (make_run(tmp_path / "bad", -90.0) / "metrics.json").write_text("[1, 2]")
    sweep = read_sweep(tmp_path)
    assert states(sweep) == {"bad": "failed", "good": "complete"}
    assert [job.name for job in sweep.groups[0].ranked] == ["good"]


def test_means_and_deviations_over_seeds_are_those_of_the_formula(tmp_path: Path) -> None:
    for seed, elbo in enumerate((-100.0, -102.0, -107.0)):
        make_run(tmp_path / f"a{seed}", elbo, beta=1, seed=seed)
    make_run(tmp_path / "again", -102.0, beta=1, seed=1)  # the same run done twice is no fourth seed
    make_run(tmp_path / "b", -104.0, beta=4, seed=0)
    (group,) = read_sweep(tmp_path).groups
    three, one = group.seeds
    assert [len(same.jobs) for same in group.seeds] == [3, 1]
    # Mean -103; deviations 3, 1, -4 give (9 + 1 + 16) / (3 - 1) = 13.
    assert three.mean("test/elbo") == pytest.approx(-103) and three.std("test/elbo") == pytest.approx(math.sqrt(13))
    assert one.mean("test/elbo") == -104 and math.isnan(one.std("test/elbo"))
    assert math.isnan(three.mean("test/nothing"))


def test_runs_that_differ_beyond_the_seed_are_not_averaged(tmp_path: Path) -> None:
    make_run(tmp_path / "a", -100.0, seed=0)
    make_run(tmp_path / "b", -102.0, seed=1, model="conv")
    (group,) = read_sweep(tmp_path).groups
    assert [len(same.jobs) for same in group.seeds] == [1, 1]


def test_real_runs_are_read(trained: Path) -> None:
    sweep = read_sweep(trained)
    assert set(states(sweep).values()) == {"complete"} and len(sweep.groups) == 2  # conv's pixels are binarised
    assert "latent_dim" in sweep.keys
    (job,) = read_sweep(trained / "mlp").jobs
    assert job.name == "mlp" and job.settings["model"] == "MLP" and job.number("test/elbo") < 0


def test_a_folder_may_be_relative_and_nested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "day" / "10", -1.0)
    make_run(tmp_path / "day" / "9", -1.0)
    monkeypatch.chdir(tmp_path)
    assert list(states(read_sweep("."))) == ["day/9", "day/10"]
    monkeypatch.chdir(tmp_path / "day" / "9")
    assert list(states(read_sweep("."))) == ["9"]


def test_what_is_no_sweep_is_reported_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"nowhere: there is no such folder\.$"):
        read_sweep(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match=r"there is no run in it; a run's folder has"):
        read_sweep(tmp_path)
    for content in ('{"jobs"', "[]", '{"jobs": [1]}', '{"jobs": {"a": 3}}'):
        (tmp_path / "sweep.json").write_text(content)
        with pytest.raises(RunFolderError, match=r"sweep.json is damaged"):
            read_sweep(tmp_path)


def test_three_hundred_runs_are_read_in_seconds(tmp_path: Path) -> None:
    for index in range(300):
        make_run(tmp_path / str(index), -100.0 - index, latent_dim=index % 10 + 1, beta=index // 100, seed=index)
    start = time.process_time()
    sweep = read_sweep(tmp_path)
    assert time.process_time() - start < 8
    assert sweep.keys == ["latent_dim", "beta", "seed"] and len(sweep.groups[0].ranked) == 300
    assert sweep.groups[0].ranked[0].name == "0"
