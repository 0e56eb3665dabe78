"""Which configuration is best: complete runs on the same data, ranked by their validation metric, means over seeds.

Test metrics rank nothing. A run whose ELBO is absurd is set apart, with the reason.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mnist_vae.runs import earlier
from mnist_vae.sweeps.job_results import Dataset, Job
from mnist_vae.sweeps.varied import SEED, written
from mnist_vae.utils.text import number

VALIDATION = "val/elbo"
TEST = "test/elbo"
# Metrics of runs that differ in one of these are of other images, or chose the epoch by something else.
SHARED = ("monitor", "monitor_mode", "data.val_size", "trainer.limit_val_batches")
UNTRAINED = 543.0  # nats: -log p(x) of 28x28 pixels that are 0 or 1 with p = 1/2 each
FAR = 10.0
ABSURD = -1e7  # nats per image, below which a run diverged, whatever its likelihood is


@dataclass(frozen=True)
class Configuration:
    """Complete runs that differ in their seed alone.

    Attributes:
        jobs: in the sweep's order.
        lost: how many more of its runs failed or were set apart.
    """

    jobs: list[Job]
    lost: int = 0

    @cached_property
    def seeds(self) -> list[Job]:
        """A run per seed: the same run done twice is not a second seed."""
        by_seed: dict[str, Job] = {}
        for job in self.jobs:
            by_seed.setdefault(written(job.settings.get(SEED)), job)
        return list(by_seed.values())

    def mean(self, metric: str) -> float:
        """Over seeds, of those that have the metric; NaN if none has."""
        values = self._values(metric)
        return sum(values) / len(values) if values else math.nan

    def std(self, metric: str) -> float:
        """The sample's standard deviation (n - 1) over seeds; NaN for fewer than two."""
        values, mean = self._values(metric), self.mean(metric)
        # Products, not powers: of numbers too large they are inf, and raise nothing.
        squares = [(value - mean) * (value - mean) for value in values]
        return math.sqrt(sum(squares) / (len(squares) - 1)) if len(squares) > 1 else math.nan

    def _values(self, metric: str) -> list[float]:
        return [value for job in self.seeds if math.isfinite(value := job.number(metric))]


@dataclass(frozen=True)
class Group:
    """The complete runs on the same data, which alone can be compared.

    Attributes:
        configurations: the best first if they are ranked, else in the sweep's order.
        keys: the sweep's varied keys, without those that say which group this is.
        monitor: the validation metric that ranks them; None if none can.
        higher: whether a higher value is better.
        unranked: why they have no rank, as a clause; empty if they have.
        apart: the runs that are set apart, and why each is.
    """

    dataset: Dataset
    configurations: list[Configuration]
    keys: list[str]
    monitor: str | None
    higher: bool
    unranked: str
    apart: list[tuple[Job, str]]

    @property
    def title(self) -> str:
        """What the runs have in common, see `Dataset.title`."""
        return self.dataset.title

    @property
    def jobs(self) -> list[Job]:
        """The runs that are not set apart, in the order of their configurations."""
        return [job for configuration in self.configurations for job in configuration.jobs]

    @property
    def best(self) -> Configuration | None:
        """The configuration with rank 1."""
        return self.configurations[0] if self.monitor and self.configurations else None

    @property
    def several_seeds(self) -> bool:
        """Whether a configuration has runs of several seeds."""
        return any(len(configuration.seeds) > 1 for configuration in self.configurations)


def group(dataset: Dataset, jobs: Sequence[Job], keys: list[str], failed: Sequence[Job] = ()) -> Group:
    """Rank the complete runs on one dataset.

    Args:
        jobs: in the sweep's order.
        keys: see `Group`.
        failed: jobs that failed, to be counted in their configurations.
    """
    unranked = _why_unranked(jobs)
    monitor = None if unranked else str(_setting(jobs[0], "monitor"))
    higher = _setting(jobs[0], "monitor_mode") != "min"
    apart = _set_apart(jobs, monitor)
    lost = Counter(job.experiment for job in (*failed, *(job for job, _ in apart)))
    kept: dict[str | None, list[Job]] = {}
    for job in jobs:
        if not any(job is other for other, _ in apart):
            kept.setdefault(job.experiment, []).append(job)
    configurations = [Configuration(runs, lost[experiment]) for experiment, runs in kept.items()]
    if monitor:
        configurations.sort(key=lambda configuration: configuration.mean(monitor), reverse=higher)
    return Group(dataset, configurations, keys, monitor, higher, unranked, apart)


def _why_unranked(jobs: Sequence[Job]) -> str:
    """Why no validation metric can rank these runs, as a clause; empty if one can."""
    if len({job.experiment for job in jobs}) == 1:
        return "there is only one configuration"
    first = jobs[0]
    for key in SHARED:
        if len({written(_setting(job, key)) for job in jobs}) > 1:
            return f"the runs differ in {key}, so they have no validation metric in common"
    monitor, mode = _setting(first, "monitor"), _setting(first, "monitor_mode")
    if first.settings.get("data.val_size") == 0:
        return "no images are held out for validation (data.val_size=0)"
    if not isinstance(monitor, str) or not monitor.startswith("val/"):
        return f"monitor={written(monitor)} is no metric of validation images"
    if mode not in ("max", "min"):
        return f"monitor_mode={written(mode)} is neither max nor min"
    if monitor == "val/loss" and len({written(_objective(job.settings)) for job in jobs}) > 1:
        return "the runs minimise different losses, so val/loss does not compare them"
    if not any(math.isfinite(job.number(monitor)) for job in jobs):
        return f"no run has a finite {monitor}"
    return ""


def _setting(job: Job, key: str) -> Any:
    return job.settings.get(key, earlier.DEFAULTS.get(key))


def _objective(settings: Mapping[str, Any]) -> list[Any]:
    keys = (key for key in settings if key == "beta" or key.partition(".")[0] == "objective")
    return [(key, written(settings[key])) for key in sorted(keys)]


def _set_apart(jobs: Sequence[Job], monitor: str | None) -> list[tuple[Job, str]]:
    """The runs that did not learn, most often since they diverged, and why each is taken for one."""
    names = [VALIDATION if VALIDATION in job.metrics else TEST for job in jobs]
    elbos = [job.number(name) for job, name in zip(jobs, names, strict=True)]
    best = max((elbo for elbo in elbos if math.isfinite(elbo) and elbo >= ABSURD), default=0.0)
    limit = best - FAR * (UNTRAINED + abs(best))
    apart = []
    for job, name, elbo in zip(jobs, names, elbos, strict=True):
        missing = [metric for metric in (name, monitor) if metric and not math.isfinite(job.number(metric))]
        if missing:
            apart.append((job, f"{missing[0]} is no finite number"))
        elif elbo < ABSURD:
            apart.append((job, f"{name} is below {number(ABSURD, 0)}"))
        elif elbo < limit:
            apart.append((job, f"{name} is far below the best"))
    return apart
