"""A search: what it learns from its trials, from failing ones too, and how it goes on after a kill."""

import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from mnist_vae.sweeps.search import Search
from mnist_vae.utils.errors import RunFolderError, SettingsError
from tests.conftest import composed_with_hydra, forked_sweep
from tests.fake_sweep import FakeJob, FakeLauncher, Work, table

SPACE = ("lr=tag(log,interval(1e-4,1e-1))", "latent_dim=interval(2,9)", "batch_size=32,64")
SAMPLER = {"_target_": "optuna.samplers.TPESampler", "seed": 0, "n_startup_trials": 4}
BEST_LR = 1e-2


def score(cfg: DictConfig) -> float:
    """Largest for lr = 0.01 and five latent dimensions."""
    return -100 - 10 * math.log10(cfg.lr / BEST_LR) ** 2 - abs(cfg.latent_dim - 5)


def succeed(job: FakeJob, cfg: DictConfig) -> None:
    job.complete(**{"val/elbo": score(cfg)})


@pytest.fixture
def search(tmp_path: Path) -> Callable[..., Search]:
    def run(
        work: Work = succeed,
        n_trials: int = 6,
        words: Sequence[str] = SPACE,
        parallel: int = 1,
        folder: str = "sweep",
        sampler: dict[str, Any] = SAMPLER,
        **options: Any,
    ) -> Search:
        multirun = FakeLauncher(tmp_path / folder, work).multirun()
        settings = {"metric": "val/elbo", "direction": "maximize", "pruner": None} | options
        overrides = OverridesParser.create().parse_overrides(list(words))
        found = Search(multirun, overrides, sampler=OmegaConf.create(sampler), **settings)
        with multirun.held():
            with multirun.watched(n_trials):
                found.run(n_trials, parallel)
            found.print_best()
        return found

    return run


def params(search: Search) -> list[dict[str, Any]]:
    return [trial.params for trial in search.study.trials]


def test_values_are_drawn_from_the_given_space(search: Callable[..., Search], tmp_path: Path) -> None:
    found = search(n_trials=12)
    for drawn in params(found):
        assert (
            1e-4 <= drawn["lr"] <= 1e-1 and drawn["latent_dim"] in range(2, 10) and drawn["batch_size"] in ("32", "64")
        )
    names = sorted(table(tmp_path / "sweep"))
    assert len(names) == 12 and names[0].startswith("trial-000,lr=") and ",latent_dim=" in names[0]


def test_it_learns_and_prints_the_best(search: Callable[..., Search], tmp_path: Path, capsys: Any) -> None:
    found = search(n_trials=24)
    values = [trial.value for trial in found.study.trials]
    # Half of all draws at random are below -107.7; the median of sixteen is above -104 in one case of forty.
    assert statistics.median(values[8:]) > -104
    best = found.study.best_trial
    text = f"lr={best.params['lr']:.4g}"
    assert f"best val/elbo {best.value:.3f}: python train.py {text}" in capsys.readouterr().out
    assert OmegaConf.load(tmp_path / "sweep" / "best.yaml")[0] == text


def test_failed_trials_do_not_stop_the_search(search: Callable[..., Search]) -> None:
    def some(job: FakeJob, cfg: DictConfig) -> None:
        if cfg.latent_dim < 6:
            job.fail()
        else:
            job.complete(**{"val/elbo": math.nan if cfg.batch_size == 32 else score(cfg)})

    found = search(some, n_trials=20)
    trials = found.study.trials
    bad = [trial for trial in trials if trial.params["latent_dim"] < 6 or trial.params["batch_size"] == "32"]
    assert 0 < len(bad) < 20
    for trial in trials:
        assert trial.state == (TrialState.FAIL if trial in bad else TrialState.COMPLETE)


def test_a_search_whose_trials_all_fail_ends_without_a_best(search: Callable[..., Search], tmp_path: Path) -> None:
    search(lambda job, cfg: job.fail(), n_trials=3)
    assert not (tmp_path / "sweep" / "best.yaml").exists()


def test_a_trial_that_sets_something_else_is_not_run(search: Callable[..., Search], tmp_path: Path) -> None:
    """Of a stranger's study: it would name a callback of the stranger's choice."""
    first = search(n_trials=2)
    code = "{_target_:os.mkdir,path:owned}"
    trial = first.study.ask(fixed_distributions={"+callbacks.x": CategoricalDistribution([code])})
    assert trial.params == {"+callbacks.x": code}
    with pytest.raises(RunFolderError, match=r"holds another search \(its trial 2 draws \+callbacks.x, this one "):
        search(n_trials=4)
    assert len(list((tmp_path / "sweep").glob("trial-*"))) == 2


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_killed_search_goes_on_as_an_undisturbed_one(
    parallel: int, search: Callable[..., Search], capsys: pytest.CaptureFixture[str]
) -> None:
    launched = 0

    def until_killed(job: FakeJob, cfg: DictConfig) -> None:
        nonlocal launched
        launched += 1
        if launched == 6:
            raise KeyboardInterrupt
        succeed(job, cfg)

    whole = search(n_trials=9, parallel=parallel, folder="whole")
    with pytest.raises(KeyboardInterrupt):
        search(until_killed, n_trials=9, parallel=parallel, folder="killed")
    ended = 5 if parallel == 1 else 3  # trials that were reported to the study, a batch at once
    capsys.readouterr()
    again = search(n_trials=9, parallel=parallel, folder="killed")
    assert f"{ended} of 9 jobs are from before" in capsys.readouterr().out
    assert params(again) == params(whole)
    assert [trial.value for trial in again.study.trials] == [trial.value for trial in whole.study.trials]
    assert len(params(search(n_trials=9, folder="killed"))) == 9  # and it does no more than it was asked for
    assert len(params(search(n_trials=11, folder="killed"))) == 11


def test_another_search_in_the_same_folder_is_refused(search: Callable[..., Search]) -> None:
    search(n_trials=1, words=[*SPACE, "seed=1"])
    with pytest.raises(RunFolderError, match=r"another search \(there seed=1; now seed=2\)"):
        search(n_trials=2, words=[*SPACE, "seed=2"])
    with pytest.raises(RunFolderError, match=r"another search \(there lr from .*; now lr from .*0.001"):
        search(n_trials=2, words=["lr=1e-3,1e-2", *SPACE[1:], "seed=1"])
    with pytest.raises(RunFolderError, match="there maximize val/elbo; now minimize val/elbo"):
        search(n_trials=2, words=[*SPACE, "seed=1"], direction="minimize")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": ["lr=1e-3"]}, "nothing to search"),
        ({"words": ["lr=interval(3,1)"]}, "lr: "),
        ({"words": [*SPACE, "data.val_size=0"]}, "data.val_size=0 leaves nothing to validate on"),
        ({"words": [*SPACE, "trainer.fast_dev_run=true"]}, "trainer.fast_dev_run: sweep=search needs whole runs"),
        ({"metric": None}, "hydra.sweeper.metric: it is empty, as monitor is for this objective"),
        ({"words": [*SPACE, "monitor_mode=max,up"]}, "monitor_mode=up: it must be max or min"),
        (
            {"words": [*SPACE, "latent_dim=interval(1,2000000)"]},
            "latent_dim=2000000: it must be 1 or more, and at most",
        ),
        (
            {"pruner": OmegaConf.create({"_target_": "optuna.pruners.MedianPruner", "n": 1})},
            "hydra.sweeper.pruner.n: there is no such key",
        ),
        ({"direction": "upwards"}, "hydra.sweeper.direction=upwards"),
        ({"sampler": {"_target_": "optuna.samplers.TPE"}}, "hydra.sweeper.sampler._target_=optuna.samplers.TPE"),
        (
            {"sampler": {"_target_": "optuna.samplers.TPESampler", "sede": 1}},
            "hydra.sweeper.sampler.sede: there is no such key; did you mean hydra.sweeper.sampler.seed",
        ),
    ],
)
def test_a_mistake_is_reported_before_anything_runs(
    change: dict[str, Any], message: str, search: Callable[..., Search], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        search(**change)
    assert not list((tmp_path / "sweep").glob("trial-*")) and not (tmp_path / "sweep" / "study.journal").exists()


@pytest.mark.parametrize(
    ("overrides", "metric", "direction"),
    [
        (("objective=elbo",), "val/elbo", "max"),
        (("objective=iwae",), "val/loss", "min"),
        (("objective=capacity",), None, "max"),
        (("objective=iwae", "hydra.sweeper.metric=val/elbo", "hydra.sweeper.direction=max"), "val/elbo", "max"),
    ],
)
def test_the_metric_is_the_one_that_chooses_the_best_epoch(
    overrides: tuple[str, ...], metric: str | None, direction: str
) -> None:
    _, hydra = composed_with_hydra("sweep=search", *overrides)
    assert (hydra.sweeper.metric, hydra.sweeper.direction) == (metric, direction)


@pytest.mark.parametrize("direction", ["min", "minimize"])
def test_a_metric_can_be_minimised(direction: str, search: Callable[..., Search]) -> None:
    def work(job: FakeJob, cfg: DictConfig) -> None:
        job.complete(**{"val/loss": -score(cfg)})

    study = search(work, n_trials=3, metric="val/loss", direction=direction).study
    assert study.best_value == min(trial.value for trial in study.trials if trial.value is not None)


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    words = ("data=digits", "model.hidden_dims=[16],[32]", "max_epochs=1", "callbacks=none", "lr=1e-3,1e-2")
    done = forked_sweep("sweep=search", *words, "hydra.sweeper.n_trials=3", f"hydra.sweep.dir={tmp_path}")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "best val/elbo" in done.stdout and len(table(tmp_path)) == 3
    assert (tmp_path / "report.html").exists()


def test_a_search_goes_on_from_a_torn_journal(search: Callable[..., Search], tmp_path: Path) -> None:
    search(n_trials=3)
    journal = tmp_path / "sweep" / "study.journal"
    journal.write_bytes(journal.read_bytes()[:-20])
    assert len(params(search(n_trials=4))) == 4
