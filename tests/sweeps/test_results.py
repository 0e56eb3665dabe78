"""Reading many runs: their states, and which of them can be compared."""

import json
import os
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
    make_run(tmp_path / "e", -103.0, latent_dim=16)
    binary = make_run(tmp_path / "f", -80.0, latent_dim=8)
    metrics = json.loads((binary / "metrics.json").read_text())
    (binary / "metrics.json").write_text(json.dumps(metrics | {"binarize": "dynamic"}))
    make_run(tmp_path / "g", -70.0, conditional=True)
    groups = read_sweep(tmp_path).groups
    assert [(group.dataset[:2], [job.name for job in group.jobs]) for group in groups] == [
        (("mnist", "none"), ["b", "e", "a"]),
        (("digits", "none"), ["c"]),
        (("mnist", "dynamic"), ["f"]),
        (("mnist", "none"), ["g"]),
    ]
    assert groups[3].title == "mnist, binarize none, bernoulli likelihood, conditional"
    assert groups[0].title == "mnist, binarize none, bernoulli likelihood" and groups[0].keys == ["latent_dim"]


def test_a_damaged_file_fails_its_own_job_alone(tmp_path: Path) -> None:
    make_run(tmp_path / "good", -100.0)
    (make_run(tmp_path / "bad", -90.0) / "metrics.json").write_text("[1, 2]")
    sweep = read_sweep(tmp_path)
    assert states(sweep) == {"bad": "failed", "good": "complete"}
    assert [job.name for job in sweep.groups[0].jobs] == ["good"]


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


@pytest.mark.parametrize(
    "content",
    [
        '{"jobs"',
        "[]",
        '{"jobs": [1]}',
        "[" * 100_000,
        '{"jobs": "\\u00e9',
    ],
)
def test_a_damaged_plan_is_reported_in_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"sweep.json is damaged .*the runs that are there can be read\.$"):
        read_sweep(tmp_path)


@pytest.mark.parametrize("overrides", ["3", '"b"', "null", "{}"])
def test_a_damaged_entry_of_the_plan_costs_its_own_job_alone(tmp_path: Path, overrides: str) -> None:
    (tmp_path / "sweep.json").write_text(f'{{"jobs": {{"a": {overrides}, "seed=1": ["seed=1"]}}}}')
    assert [(job.name, job.overrides) for job in read_sweep(tmp_path).jobs] == [("a", []), ("seed=1", ["seed=1"])]


def test_what_is_no_sweep_is_reported_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"nowhere: there is no such folder\.$"):
        read_sweep(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match=r"there is no run in it; a run's folder has"):
        read_sweep(tmp_path)


def test_a_plan_names_only_folders_within_the_sweep(tmp_path: Path) -> None:
    private, sweep = make_run(tmp_path / "private", -1.0), tmp_path / "sweep"
    inside = make_run(sweep / "a", -100.0)
    make_run(sweep / "linked", -1.0)
    for file in (sweep / "linked" / "metrics.json", sweep / "linked" / ".hydra" / "config.yaml"):
        file.unlink()
        file.symlink_to(private / file.relative_to(sweep / "linked"))
    (sweep / "link").symlink_to(private)
    (sweep / "loop").symlink_to(sweep / "loop")
    refused = ["../private", str(private), str(inside), "link", "linked", "loop", "a/../../private", "n" * 5000]
    (sweep / "sweep.json").write_text(json.dumps({"jobs": {name: ["seed=1"] for name in ["a", *refused]}}))
    found = read_sweep(sweep)
    assert states(found) == {"a": "complete"} | dict.fromkeys(refused, "failed")
    for job in found.jobs[1:]:
        assert job.failure is not None and job.failure.error and not job.metrics and job.settings == {"seed": 1}
    assert "is no path within the sweep's folder" in found.jobs[1].failure.error  # type: ignore[union-attr]
    assert "is a link to something outside" in found.jobs[4].failure.error  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (".hydra/overrides.yaml", "- &a [x, x, x]\n" + "".join(f"- &{b} [*{a}, *{a}]\n" for a, b in ("ab", "bc"))),
        (".hydra/overrides.yaml", "7"),
        (".hydra/overrides.yaml", "{seed: 1}"),
        (".hydra/overrides.yaml", "[" * 100_000),
        (".hydra/config.yaml", "a: " + "[" * 100_000),
        (".hydra/config.yaml", "\n".join(" " * depth + "a:" for depth in range(2000))),
        (".hydra/config.yaml", f"latent_dim: 0x{'f' * 5000}"),
        ("metrics.json", "[" * 100_000),
        ("metrics.json", '{"test/elbo": [1]}'),
        ("metrics.json", f'{{"test/elbo": {"9" * 400}}}'),
        ("metrics.csv", "epoch\n1,2\n"),
    ],
)
def test_a_strangers_file_costs_its_own_job_alone(tmp_path: Path, file: str, content: str) -> None:
    make_run(tmp_path / "good", -100.0)
    (make_run(tmp_path / "bad", -90.0) / file).write_text(content)
    sweep = read_sweep(tmp_path)
    assert states(sweep) == {"bad": "failed", "good": "complete"}
    assert sweep.jobs[0].failure is not None and len(sweep.jobs[0].failure.error.splitlines()) == 1


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"error": "no.", "overrides": 7}', '{"error": [], "overrides": [7]}']
)
def test_a_strangers_failure_costs_its_own_job_alone(tmp_path: Path, content: str) -> None:
    make_run(tmp_path / "good", -100.0)
    make_failure(tmp_path / "bad", "no.")
    (tmp_path / "bad" / "failed.json").write_text(content)
    assert states(read_sweep(tmp_path)) == {"good": "complete", "bad": "failed"}


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", -100.0)
    (run / "metrics.json").unlink()
    os.mkfifo(run / "metrics.json")
    assert states(read_sweep(tmp_path)) == {"run": "failed"}


def test_three_hundred_runs_are_read_in_seconds(tmp_path: Path) -> None:
    for index in range(300):
        make_run(tmp_path / str(index), -100.0 - index, latent_dim=index % 10 + 1, beta=index // 100, seed=index)
    start = time.process_time()
    sweep = read_sweep(tmp_path)
    assert time.process_time() - start < 8
    assert sweep.keys == ["latent_dim", "beta", "seed"] and len(sweep.groups[0].jobs) == 300
    assert sweep.groups[0].jobs[0].name == "0"
