"""Names of a sweep's job folders: readable, safe on any file system, and never the same for two jobs."""

import hashlib
import re
from collections.abc import Iterable

from mnist_vae.settings import NOT_THE_EXPERIMENT

LONGEST = 120  # bytes; file systems end at 255, and some tools append to a name
NUMBERS = re.compile(r"\[[\d.,-]+\]")
HOW_TO_RUN = ("sweep", "launcher", "callbacks.pruning")  # which jobs, where, and whether one is stopped early


def experiment_overrides(overrides: Iterable[str]) -> list[str]:
    """Those of a job's overrides that say what is done, not how or where."""
    keys = (*NOT_THE_EXPERIMENT, *HOW_TO_RUN)
    return [text for text in overrides if (key := _key(text)) not in keys and not key.startswith("hydra")]


def folder_name(overrides: Iterable[str]) -> str:
    """The folder of the job with these overrides, such as `model=conv,latent_dim=16`.

    A list of numbers, `[400,200]`, is written 400x200. Where other characters have to go, or the name is too long,
    a digest of the overrides follows, so that different overrides keep different names.
    """
    kept = experiment_overrides(overrides)
    readable = ",".join(NUMBERS.sub(lambda m: m[0][1:-1].replace(",", "x"), text.lstrip("+~")) for text in kept)
    name = re.sub(r"[^\w.=,+-]+", "-", readable, flags=re.ASCII).strip("-.")
    if name == readable and len(name) <= LONGEST:
        return name or "defaults"
    digest = hashlib.sha256("\n".join(kept).encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9]}~{digest}"


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").partition("@")[0]
