"""Overrides that are part of an experiment, and those that say only how or where it runs."""

from collections.abc import Iterable
from typing import Any

from omegaconf import OmegaConf

# Where the images lie says nothing about the experiment, so a run may be finished on another machine.
NOT_THE_EXPERIMENT = ("data.root", "data.source.root", "data.source.mirror")
HOW_TO_RUN = ("sweep", "launcher", "callbacks.pruning")  # which jobs, where, and whether one is stopped early


def task_overrides(hydra: Any) -> list[str]:
    """The overrides of a command or job as they were typed: a reference ${…} in one is not resolved.

    Args:
        hydra: Hydra's own config.
    """
    typed: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    return typed


def experiment_overrides(overrides: Iterable[str]) -> list[str]:
    """Those of a job's overrides that are part of the experiment."""
    keys = (*NOT_THE_EXPERIMENT, *HOW_TO_RUN)
    return [text for text in overrides if (key := _key(text)) not in keys and key.partition(".")[0] != "hydra"]


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").partition("@")[0]
