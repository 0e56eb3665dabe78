"""Names of a sweep's job folders: readable, made of safe characters, and different for different jobs."""

import hashlib
import re
from collections.abc import Iterable

from omegaconf import OmegaConf

from mnist_vae.config.overrides import experiment_overrides

RESOLVER = "job_folder"
SAFE = re.compile(r"[\w.=+-]+", re.ASCII)  # one override; a comma stands between two
LONGEST = 120  # bytes; file systems end at 255, and some tools append to a name
LIST = re.compile(r"\[[\d.,-]+\]")  # of numbers
LISTED = re.compile(r"[\d.-]+x[\d.x-]*")  # what such a list is written as


def register() -> None:
    """Register the resolver ${job_folder:<overrides>}, the default of `hydra.sweep.subdir`."""
    OmegaConf.register_new_resolver(RESOLVER, folder_name, replace=True)


def folder_name(overrides: Iterable[str]) -> str:
    """The folder of the job with these overrides, such as `model=conv,latent_dim=16`.

    A list of numbers, `[400,200]`, is written 400x200. Where other characters have to go, or the name is too long,
    a digest of the overrides follows, so that different overrides keep different names. (That a key was added by `+`
    makes no difference.) On a file system that ignores case two names may be the same; then the second of two
    jobs is refused, since the folder is another's.
    """
    kept = [text.lstrip("+") for text in experiment_overrides(overrides)]
    words = [_readable(text) for text in kept]
    name = re.sub(r"[^\w.=,+-]+", "-", ",".join(words), flags=re.ASCII).strip("-.")
    if all(SAFE.fullmatch(word) for word in words) and name == ",".join(words) and len(name) <= LONGEST:
        return name or "defaults"
    digest = hashlib.sha256("\n".join(kept).encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9]}~{digest}"


def _readable(override: str) -> str:
    """An override with lists of numbers as 400x200; quoted where a value that is no list looks like one."""
    key, _, value = override.partition("=")
    if LIST.fullmatch(value):
        numbers = value[1:-1].split(",")
        return f"{key}={'x'.join(numbers)}{'x' if len(numbers) == 1 else ''}"
    return f"{key}={value!r}" if LISTED.fullmatch(value) else override
