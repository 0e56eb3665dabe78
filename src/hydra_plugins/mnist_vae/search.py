"""The sweeper of `python train.py -m sweep=search`: Bayesian search by Optuna."""

from typing import Any

from omegaconf import DictConfig

from mnist_vae.sweeps.sweeper import MultirunSweeper
from mnist_vae.utils.errors import SettingsError


class SearchSweeper(MultirunSweeper):
    """Draws the values of each job from Optuna, which learns from the jobs before.

    Hydra's own plugin for Optuna needs a version of it from 2021, keeps going with no trial that failed, and can't
    stop one early; so this project has its own, for the present Optuna.

    Args:
        n_trials: how many jobs in all, those of earlier commands in the same folder included.
        parallel: how many at once; null for as many as joblib has processes, else one.
        metric: what is to be large or small at the end of a run; by default the metric that chooses the best epoch.
        direction: max or min, or Optuna's maximize or minimize.
        sampler, pruner: Optuna's, by `_target_` and arguments; null for the pruner to stop none early.
        params: what to search, as on the command line.
    """

    def __init__(
        self,
        n_trials: int,
        parallel: int | None,
        metric: str | None,
        direction: str,
        sampler: DictConfig,
        pruner: DictConfig | None,
        params: dict[str, str] | None = None,
    ) -> None:
        super().__init__(params)
        self.n_trials, self.parallel = n_trials, parallel
        self.metric, self.direction = metric, direction
        self.sampler, self.pruner = sampler, pruner

    def sweep(self, arguments: list[str]) -> Any:
        from mnist_vae.sweeps.multirun import Multirun  # not while Hydra looks for plugins, as it does for --help
        from mnist_vae.sweeps.search import Search

        for name in ("n_trials", "parallel"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise SettingsError(f"hydra.sweeper.{name}={value}: it must be a whole number, 1 or more.")
        overrides = self.overrides(arguments)
        multirun = Multirun(self.config, self.hydra_context, self.launcher)
        search = Search(multirun, overrides, self.metric, self.direction, self.sampler, self.pruner)
        with multirun.held():
            with multirun.watched(total=self.n_trials):
                search.run(self.n_trials, self.parallel or self._processes())
            search.print_best()

    def _processes(self) -> int:
        import joblib

        jobs = self.config.hydra.launcher.get("n_jobs", 1)
        return joblib.effective_n_jobs(jobs) if jobs != 1 else 1
