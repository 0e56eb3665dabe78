"""Bayesian search over a config's values, by Optuna: which job next, and what to learn from it."""

import json
import math
import shlex
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig, OmegaConf

from mnist_vae.config.overrides import experiment_overrides
from mnist_vae.sweeps.job import Job
from mnist_vae.sweeps.multirun import Multirun
from mnist_vae.sweeps.pruning import build
from mnist_vae.sweeps.study import PROBLEM, PRUNED, open_study
from mnist_vae.utils.errors import RunFolderError, SettingsError, first_line
from mnist_vae.utils.io import write_atomically
from mnist_vae.utils.program import as_called

try:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.trial import FrozenTrial, TrialState
except ModuleNotFoundError as error:
    raise SettingsError('sweep=search needs optuna; install it by: pip install -e ".[search]"') from error

# As Optuna names them, and as monitor_mode does.
DIRECTIONS = {"maximize": "maximize", "minimize": "minimize", "max": "maximize", "min": "minimize"}


class Search:
    """A study in a sweep's folder. It is on disk after every step, so the same command takes it up again.

    Args:
        multirun: runs the jobs.
        overrides: of the command line and the sweep's `params`; those that are sweeps are what is searched.
        metric, direction, sampler, pruner: see hydra_plugins.mnist_vae.search.

    Raises:
        SettingsError: nothing is searched, or one of these makes no sense. Nothing is written by then.
    """

    def __init__(
        self,
        multirun: Multirun,
        overrides: Sequence[Override],
        metric: str | None,
        direction: str,
        sampler: DictConfig,
        pruner: DictConfig | None,
    ) -> None:
        last = {override.get_key_element(): override for override in overrides}  # the command line comes last
        searched = {key: override for key, override in last.items() if override.is_sweep_override()}
        if not searched:
            raise SettingsError("sweep=search: nothing to search; give values, such as lr='interval(1e-4,1e-2)'.")
        self.fixed = [f"{key}={last[key].get_value_element_as_str()}" for key in last if key not in searched]
        cfg = multirun.composed(self.fixed)
        self.space = {
            key: _distribution(override, whole=isinstance(OmegaConf.select(cfg, key), int))
            for key, override in searched.items()
        }
        if not metric:
            raise SettingsError(
                "hydra.sweeper.metric: it is empty, as monitor is for this objective; name a metric of a run's end, "
                "such as hydra.sweeper.metric=val/elbo."
            )
        if metric.startswith("val/") and cfg.data.val_size == 0:
            raise SettingsError(
                f"hydra.sweeper.metric={metric}: data.val_size=0 leaves nothing to validate on; hold images out."
            )
        if direction not in DIRECTIONS:
            raise SettingsError(f"hydra.sweeper.direction={direction}: it must be one of {', '.join(DIRECTIONS)}.")
        if cfg.trainer.fast_dev_run:
            raise SettingsError("trainer.fast_dev_run: sweep=search needs whole runs; try a single one.")
        for number in range(max(len(_ends(kind)) for kind in self.space.values())):  # each choice and end once
            drawn = [f"{key}={_text(_ends(kind)[number % len(_ends(kind))])}" for key, kind in self.space.items()]
            multirun.job([*self.fixed, *drawn], number, drawn)
        self.multirun, self.metric, self.direction = multirun, metric, DIRECTIONS[direction]
        self.sampler, self.pruner = _plain(sampler), None if pruner is None else _plain(pruner)
        build("hydra.sweeper.sampler", self.sampler)
        if self.pruner is not None:
            build("hydra.sweeper.pruner", self.pruner)

    def run(self, n_trials: int, parallel: int) -> None:
        """Run trials until there are `n_trials`. One that fails is noted, and the search goes on.

        Raises:
            RunFolderError: the folder holds another search.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = open_study(self.multirun.folder, self.direction)
        self._refuse_another_search()
        killed = self.study.get_trials(states=[TrialState.RUNNING])
        self.multirun.watch.count(len(self.study.trials) - len(killed), "are from before")
        self._run([self._job(trial) for trial in killed])
        while (missing := n_trials - len(self.study.trials)) > 0:
            self._run([self._ask() for _ in range(min(parallel, missing))])

    def print_best(self) -> None:
        """Print the best trial as a command, and write its overrides to best.yaml."""
        done = self.study.get_trials(states=[TrialState.COMPLETE])
        if not done:
            return
        _, job = self._job(self.study.best_trial)
        write_atomically(self.multirun.folder / "best.yaml", OmegaConf.to_yaml(job.overrides).encode())
        pruned, failed = (len(self.study.get_trials(states=[state])) for state in (TrialState.PRUNED, TrialState.FAIL))
        print(f"{len(done)} trials to the end, {pruned} stopped early, {failed} failed")
        command = as_called(f"python train.py {shlex.join(job.overrides)}")
        print(f"best {self.metric} {self.study.best_value:.3f}: {command}")

    def _run(self, jobs: list[tuple[int, Job]]) -> None:
        self.multirun.run([job for _, job in jobs])
        for number, job in jobs:
            self._report_to_study(number, job)

    def _ask(self) -> tuple[int, Job]:
        # A sampler of its own for each trial: then a search that was resumed draws what it would have drawn.
        seed = self.sampler.get("seed")
        seeded = {} if seed is None else {"seed": seed + len(self.study.trials)}
        self.study.sampler = build("hydra.sweeper.sampler", self.sampler | seeded)
        trial = self.study.ask(fixed_distributions=self.space)
        return self._job(self.study.trials[trial.number])

    def _job(self, trial: FrozenTrial) -> tuple[int, Job]:
        if trial.distributions != self.space:  # what it sets would be composed; a folder can come from anyone
            raise RunFolderError(
                f"{self.multirun.folder} holds another search (its trial {trial.number} draws {', '.join(trial.params)}"
                f", this one {', '.join(self.space)}); choose another folder by hydra.sweep.dir=…"
            )
        drawn = [f"{key}={_text(value)}" for key, value in trial.params.items()]
        pruning = [] if self.pruner is None else [f"+callbacks.pruning={_inline(self._pruning(trial.number))}"]
        overrides = [*self.fixed, *drawn, *pruning]
        return trial.number, self.multirun.job(overrides, trial.number, drawn, f"trial-{trial.number:03d},")

    def _pruning(self, trial: int) -> dict[str, Any]:
        return {
            "_target_": "mnist_vae.sweeps.pruning.Pruning",
            "trial": trial,
            "metric": self.metric,
            "pruner": self.pruner,
        }

    def _report_to_study(self, number: int, job: Job) -> None:
        value = job.run.read_metrics().get(self.metric) if job.run.complete else None
        if not isinstance(value, int | float) or not math.isfinite(value):
            self.study.tell(number, state=TrialState.FAIL)
        elif PRUNED in self.study.trials[number].user_attrs:
            self.study.tell(number, state=TrialState.PRUNED)
        else:
            self.study.tell(number, value)

    def _refuse_another_search(self) -> None:
        searched = [f"{key} from {json.dumps(kind._asdict())}" for key, kind in self.space.items()]
        mine = sorted([*experiment_overrides(self.fixed), *searched, f"{self.direction} {self.metric}"])
        theirs = self.study.user_attrs.get(PROBLEM, mine)
        if theirs != mine:
            there, now = (", ".join(sorted(set(one) - set(other))) for one, other in ((theirs, mine), (mine, theirs)))
            raise RunFolderError(
                f"{self.multirun.folder} holds another search (there {there or 'less'}; now {now or 'less'}); "
                "choose another folder by hydra.sweep.dir=…, or the same values."
            )
        self.study.set_user_attr(PROBLEM, mine)


def _distribution(override: Override, whole: bool) -> BaseDistribution:
    """Optuna's name for what the command line gives: interval(a,b), also tagged log; whatever else is a choice.

    Args:
        whole: the key takes whole numbers.
    """
    value = override.value()
    if not isinstance(value, IntervalSweep):
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    low, high, log = value.start, value.end, "log" in value.tags
    assert low is not None and high is not None
    try:
        return IntDistribution(int(low), int(high), log=log) if whole else FloatDistribution(low, high, log=log)
    except ValueError as error:
        raise SettingsError(f"{override.get_key_element()}: {first_line(error)}") from error


def _plain(node: DictConfig) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(node, resolve=True)
    return plain


def _ends(distribution: BaseDistribution) -> Sequence[Any]:
    """The choices, or the ends of the interval."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    return distribution.low, distribution.high  # type: ignore[attr-defined]


def _text(value: Any) -> str:
    """A drawn value as an override; more digits than four would say nothing."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _inline(value: Any) -> str:
    """Plain data in Hydra's grammar of overrides."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_inline(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)
