"""Error messages: one sentence for every error, whichever library raised it."""

import re
import sys
import traceback
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_vae.config.checks import SET_ELSEWHERE
from mnist_vae.config.schema import CONFIGS
from mnist_vae.utils.errors import UserError, first_line, unknown_key

FULL_ERROR = "HYDRA_FULL_ERROR"


def sentence(error: BaseException, see: str = f"set {FULL_ERROR}=1 to see where") -> str:
    """One sentence on an error: which key, what is wrong, what would be right.

    Args:
        see: where the traceback of an unexpected error can be found.
    """
    if isinstance(error, UserError):
        return str(error)
    plugin = re.search(r"Could not find 'hydra/launcher/(joblib|submitit|ray)", str(error))
    if plugin:
        extra = plugin[1]
        return f'launcher: it needs a plugin that is not installed; install it by: pip install -e ".[{extra}]"'
    if 'Could not detect "srun"' in str(error):
        return (
            "launcher=slurm: there is no srun on this machine; start the sweep where your cluster lets you submit "
            "jobs (python scripts/sbatch.py shows anywhere what would be submitted)."
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        return _no_such_choice(error.missing_cfg_file, list(error.options))
    if isinstance(error, OSError) and error.filename and not isinstance(error, HydraException):
        return f"{error.filename}: {error.strerror}; choose another output folder (of a run: hydra.run.dir=…)."
    if isinstance(error, ConfigCompositionException | OmegaConfBaseException):
        return _composition_sentence(error)
    if "Config group override must be" in str(error):
        return "a group is given the name of a choice, as in model=conv; --help lists the choices."
    if (
        isinstance(error, HydraException)
        or type(error).__name__ == "MisconfigurationException"
        or "override" in str(error)
    ):
        return _one_line(error)
    if type(error).__name__ in ("OutOfMemoryError", "MemoryError") or "can't allocate memory" in str(error):
        return f"out of memory: a smaller model or batch_size, or fewer jobs at once, need less ({first_line(error)})."
    return f"{_one_line(error)} ({type(error).__name__}; this was not expected: {see})"


def _composition_sentence(error: Exception) -> str:
    unknown = re.match(r"Could not override '([^']+)'", str(error))
    if unknown:
        return _no_such_key(unknown[1])
    several = re.match(r"Ambiguous value for argument '([^']+)'", str(error))
    if several:
        return f"{several[1]}: several values make a sweep; add -m to the command, or write a list as [a,b]."
    value = re.match(r"Error merging override (.+)", str(error))
    if value and error.__cause__:
        return f"{value[1]}: {first_line(error.__cause__)}."
    return _one_line(error)


def _no_such_key(key: str) -> str:
    parent, _, name = key.rpartition(".")
    if parent == "trainer" and name in SET_ELSEWHERE:
        return f"{key}: {SET_ELSEWHERE[name]}."
    siblings = [other for other in _known_keys() if other.rpartition(".")[0] == parent]
    if key in siblings:
        return f"{key}: not every choice made here has such a key; give it only where it belongs."
    return unknown_key(key, siblings)


def _no_such_choice(file: str, options: list[str]) -> str:
    group, _, name = file.rpartition("/")
    return f"{group}={name}: there is no such choice; {group} can be {', '.join(sorted(options))}."


def _known_keys() -> list[str]:
    """Every key and group of the config, under the choices of groups made on the command line."""
    groups = [path.name for path in CONFIGS.iterdir() if path.is_dir()]
    choices = [word for word in sys.argv[1:] if word.partition("=")[0] in groups and "," not in word]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        try:
            cfg = compose("train", overrides=choices)
        except Exception:  # the choices may be what is wrong
            cfg = compose("train")
    return sorted({*groups, *_keys(OmegaConf.to_container(cfg))})


def _keys(node: Any, prefix: str = "") -> list[str]:
    keys = []
    for name, child in node.items():
        keys.append(f"{prefix}{name}")
        if isinstance(child, dict):
            keys += _keys(child, f"{prefix}{name}.")
    return keys


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def describe(error: BaseException) -> dict[str, Any]:
    """The content of failed.json for an error, and whether it was an expected one, which leaves its process usable."""
    return {
        "error": sentence(error, "its failed.json says where"),
        "type": type(error).__name__,
        "traceback": "".join(traceback.format_exception(error)),
        "expected": isinstance(error, UserError),
    }
