"""Which configuration is best: by validation, over seeds, without the runs that did not learn."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from mnist_vae.sweeps.ranking import Group
from mnist_vae.sweeps.results import read_sweep
from mnist_vae.utils.text import MINUS
from tests.synthetic import make_failure, make_run


def group(folder: Path) -> Group:
    (found,) = read_sweep(folder).groups
    return found


def names(found: Group) -> list[list[str]]:
    return [[job.name for job in configuration.jobs] for configuration in found.configurations]


def change(run: Path, **metrics: Any) -> None:
    file = run / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {f"val/{name}": metrics[name] for name in metrics}))


def test_the_best_has_the_best_validation_metric_whatever_its_test_metrics(tmp_path: Path) -> None:
    make_run(tmp_path / "a", -90.0, val=-105.0, beta=1)
    make_run(tmp_path / "b", -100.0, val=-103.0, beta=2)
    make_run(tmp_path / "c", -95.0, val=-104.0, beta=4)
    found = group(tmp_path)
    assert (found.monitor, found.unranked, names(found)) == ("val/elbo", "", [["b"], ["c"], ["a"]])
    assert found.best is found.configurations[0] and not found.several_seeds


def test_a_monitor_whose_mode_is_min_ranks_the_lowest_first(tmp_path: Path) -> None:
    for name, value in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        change(make_run(tmp_path / name, -100.0, latent_dim=ord(name), monitor="val/kl", monitor_mode="min"), kl=value)
    found = group(tmp_path)
    assert (found.monitor, found.higher, names(found)) == ("val/kl", False, [["b"], ["c"], ["a"]])


def test_seeds_are_averaged_before_ranking(tmp_path: Path) -> None:
    for beta, values in ((1, (-90.0, -110.0)), (4, (-97.0, -99.0))):
        for seed, val in enumerate(values):
            make_run(tmp_path / f"{beta}-{seed}", -100.0, val=val, beta=beta, seed=seed)
    assert names(group(tmp_path)) == [["4-0", "4-1"], ["1-0", "1-1"]]  # means -98 and -100


def test_means_and_deviations_over_seeds_are_those_of_the_formula(tmp_path: Path) -> None:
    for seed, elbo in enumerate((-100.0, -102.0, -107.0)):
        make_run(tmp_path / f"a{seed}", elbo, beta=1, seed=seed)
    make_run(tmp_path / "again", -102.0, beta=1, seed=1)  # the same run done twice is no fourth seed
    make_run(tmp_path / "b", -104.0, beta=4, seed=0)
    three, one = group(tmp_path).configurations
    assert (len(three.jobs), len(three.seeds), len(one.seeds)) == (4, 3, 1)
    # Mean -103; deviations 3, 1, -4 give (9 + 1 + 16) / (3 - 1) = 13.
    assert three.mean("test/elbo") == pytest.approx(-103) and three.std("test/elbo") == pytest.approx(math.sqrt(13))
    assert one.mean("test/elbo") == -104 and math.isnan(one.std("test/elbo"))
    assert math.isnan(three.mean("test/nothing"))


def test_runs_that_differ_beyond_the_seed_are_not_averaged(tmp_path: Path) -> None:
    make_run(tmp_path / "a", -100.0, seed=0)
    make_run(tmp_path / "b", -102.0, seed=1, model="conv")
    assert names(group(tmp_path)) == [["a"], ["b"]]


def test_seeds_alone_have_no_best(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path / str(seed), -100.0 + seed, seed=seed)
    found = group(tmp_path)
    assert found.best is None and found.unranked == "there is only one configuration"
    assert names(found) == [["0", "1", "2"]] and found.several_seeds


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ({"val_size": 0}, {"val_size": 0}, "no images are held out for validation"),
        ({"monitor": None}, {"monitor": None}, "monitor=null is no metric of validation images"),
        ({"monitor": "train/loss"}, {"monitor": "train/loss"}, "monitor=train/loss is no metric of validation"),
        ({"monitor": "test/elbo"}, {"monitor": "test/elbo"}, "monitor=test/elbo is no metric of validation"),
        ({"monitor": 7}, {"monitor": 7}, "monitor=7 is no metric of validation"),
        ({"monitor_mode": "up"}, {"monitor_mode": "up"}, "monitor_mode=up is neither max nor min"),
        ({"monitor": "val/elbo"}, {"monitor": "val/kl"}, "the runs differ in monitor,"),
        ({"monitor_mode": "max"}, {"monitor_mode": "min"}, "the runs differ in monitor_mode,"),
        ({"val_size": 5000}, {"val_size": 1000}, "the runs differ in data.val_size,"),
        ({"monitor": "val/loss"}, {"monitor": "val/loss"}, "the runs minimise different losses"),
        ({"monitor": "val/nll"}, {"monitor": "val/nll"}, "no run has a finite val/nll"),
    ],
)
def test_without_a_validation_metric_in_common_there_is_no_rank(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], reason: str
) -> None:
    make_run(tmp_path / "a", -110.0, beta=1, **first)
    make_run(tmp_path / "b", -100.0, beta=2, **second)
    found = group(tmp_path)
    assert found.monitor is None and found.best is None and found.unranked.startswith(reason)
    assert names(found) == [["a"], ["b"]] and not found.apart  # the sweep's order


def test_a_loss_compares_runs_of_the_same_objective(tmp_path: Path) -> None:
    for latent_dim, loss in ((2, 110.0), (8, 100.0)):
        run = make_run(
            tmp_path / str(latent_dim), -100.0, latent_dim=latent_dim, monitor="val/loss", monitor_mode="min"
        )
        change(run, loss=loss)
    assert names(group(tmp_path)) == [["8"], ["2"]]


@pytest.mark.parametrize(
    ("elbos", "apart"),
    [
        ([-150.0, -3.6e33], [1]),  # -m lr=1e-3,1e6
        ([-150.0, -148.0, math.nan, -math.inf, math.inf], [2, 3, 4]),
        ([-100.0, -105.0, -206.0, -400.0, -3000.0], []),  # beta from a collapsed code to an autoencoder
        ([-40_000.0, -260_000.0], []),  # a Gaussian likelihood of a small, fixed variance
        ([900.0, -100.0, -2000.0], []),  # log densities have no natural zero
        ([-100.0, -6530.0, -6531.0], [2]),  # 10 (543 + 100) below the best is -6530
        ([-1e30, -2e30], [0, 1]),  # nothing learned: nothing to compare with
        ([-9e6, -1.1e7], [1]),
    ],
)
def test_runs_that_did_not_learn_are_set_apart(tmp_path: Path, elbos: list[float], apart: list[int]) -> None:
    for place, elbo in enumerate(elbos):
        make_run(tmp_path / str(place), elbo, val=elbo, latent_dim=place + 1)
    found = group(tmp_path)
    assert [job.name for job, _ in found.apart] == [str(place) for place in apart]
    assert len(found.jobs) == len(elbos) - len(apart) and (found.best is not None) == bool(found.jobs)


def test_the_reason_names_the_metric(tmp_path: Path) -> None:
    make_run(tmp_path / "a", -100.0, beta=1)
    make_run(tmp_path / "b", -1e6, beta=2)
    change(make_run(tmp_path / "c", -100.0, beta=3), elbo=None)
    make_run(tmp_path / "d", -1e9, beta=4)
    assert [why for _, why in group(tmp_path).apart] == [
        "val/elbo is far below the best",
        "val/elbo is no finite number",
        f"val/elbo is below {MINUS}10,000,000",
    ]


def test_runs_of_earlier_versions_are_ranked_by_the_metric_that_chose_their_epochs(tmp_path: Path) -> None:
    for beta, elbo in ((1, -100.0), (2, -90.0)):
        run = make_run(tmp_path / str(beta), elbo, beta=beta)
        file = run / ".hydra" / "config.yaml"
        config = yaml.safe_load(file.read_text())
        del config["monitor"], config["monitor_mode"]
        file.write_text(yaml.safe_dump(config))
    assert names(group(tmp_path)) == [["2"], ["1"]]


def test_without_a_validation_elbo_the_test_elbo_tells_what_did_not_learn(tmp_path: Path) -> None:
    for beta, elbo in ((1, -100.0), (2, -1e6)):
        run = make_run(tmp_path / str(beta), elbo, beta=beta, val_size=0)
        metrics = json.loads((run / "metrics.json").read_text())
        del metrics["val/elbo"]
        (run / "metrics.json").write_text(json.dumps(metrics))
    assert [(job.name, why) for job, why in group(tmp_path).apart] == [("2", "test/elbo is far below the best")]


def test_a_run_that_is_set_apart_or_failed_counts_as_lost_in_its_configuration(tmp_path: Path) -> None:
    for seed, elbo in enumerate((-100.0, -102.0, -1e9)):
        make_run(tmp_path / str(seed), elbo, seed=seed, beta=1)
    make_failure(make_run(tmp_path / "3", seed=3, beta=1), "The loss is not finite.")
    make_run(tmp_path / "other", -103.0, beta=2)
    first, second = group(tmp_path).configurations
    assert (first.mean("test/elbo"), len(first.seeds), first.lost) == (-101, 2, 2) and second.lost == 0


def test_numbers_too_large_for_a_square_raise_nothing(tmp_path: Path) -> None:
    for seed in range(2):
        run = make_run(tmp_path / str(seed), -100.0, seed=seed)
        change(run, kl=1e308 * (-1) ** seed, loss=1e308)
    (configuration,) = group(tmp_path).configurations
    assert configuration.mean("val/loss") == math.inf and configuration.std("val/kl") == math.inf
