"""Error messages: one sentence for every error, whichever library raised it."""

import errno
import os
import re
import sys
import traceback
from typing import Any, NoReturn

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigTypeError, OmegaConfBaseException

from mnist_vae.config.checks import SET_ELSEWHERE
from mnist_vae.config.instantiate import out_of_memory
from mnist_vae.config.schema import groups
from mnist_vae.utils.errors import UserError, first_line, unknown_key
from mnist_vae.utils.program import as_called

FULL_ERROR = "HYDRA_FULL_ERROR"
SENTENCES = "MNIST_VAE_SENTENCES"  # set for this process and its workers while errors are printed as one sentence
LEAVE_OUT_PLUS = "; leave out the +, which adds a key"


def in_sentences() -> bool:
    """Whether an error is to be printed as one sentence, not as a traceback."""
    return os.environ.get(SENTENCES) == "1"


def end(error: BaseException) -> NoReturn:
    """End the process with a sentence on the error; with HYDRA_FULL_ERROR=1 in its environment, with the traceback."""
    if in_sentences():
        sys.exit(f"error: {sentence(error)}")
    traceback.print_exception(error)
    sys.exit(1)


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
        return as_called(
            "launcher=slurm: there is no srun on this machine; start the sweep where your cluster lets you submit "
            "jobs (python scripts/sbatch.py shows anywhere what would be submitted)."
        )
    if isinstance(error, MissingConfigException):
        return _missing_file(error)
    if isinstance(error, OverrideParseException):
        return _grammar_sentence(error)
    if isinstance(error, ConfigCompositionException | OmegaConfBaseException):
        return _composition_sentence(error)
    if "Config group override must be" in str(error):
        return _no_name_of_a_choice()
    memory = out_of_memory(error)
    if memory:
        return f"{memory}; a smaller model or batch_size, or fewer jobs at once, need less."
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, OSError) and (error.filename or full):
        remedy = "free some space there, or choose another" if full else "choose another"
        file = error.filename or "the output folder"
        return f"{file}: {error.strerror}; {remedy} output folder (hydra.run.dir=…, of a sweep hydra.sweep.dir=…)."
    if (
        isinstance(error, HydraException)
        or type(error).__name__ == "MisconfigurationException"
        or "override" in str(error)
    ):
        return _one_line(error)
    return f"{_one_line(error)} ({type(error).__name__}; this was not expected: {see})"


def _grammar_sentence(error: OverrideParseException) -> str:
    reason = first_line(Exception(re.sub(r"^Error parsing override '.*'\n", "", error.message)))
    evaluated = re.match(r"\w+ while evaluating '.*': (.*)", reason)
    if evaluated:
        return f"{error.override}: {evaluated[1]}."
    said = "" if reason.startswith("Lexer") else f" ({reason.partition(' expecting {')[0]})"
    return (
        f"{error.override}: Hydra can't read it{said}; brackets must be closed, and a value with other characters than "
        "letters, digits and ./:-_+@ needs quotes of its own, as in 'key=\"a b\"'."
    )


def _composition_sentence(error: Exception) -> str:
    text, cause = str(error), error.__cause__
    unknown = re.match(r"Could not override '([^']+)'", text)
    if unknown:
        return _no_such_key(unknown[1], cause)
    several = re.match(r"Ambiguous value for argument '([^']+)'|Sweep parameters '([^']+)'", text)
    if several:
        given = several[1] or several[2]
        return f"{given}: several values make a sweep; add -m to the command, or write a list as [a,b]."
    absent = re.match(r"Could not delete from config. '([^']+)' does not exist", text)
    if absent:
        return f"~{absent[1]}: there is no such key to delete."
    there = re.match(r"Could not append to config. An item is already at '([^']+)'", text)
    if there:
        return f"+{there[1]}: there is such a key{LEAVE_OUT_PLUS}."
    value = re.match(r"Error merging override (.+)", text)
    if value and isinstance(cause, OmegaConfBaseException):
        key, _, given = value[1].partition("=")
        if cause.full_key and key.startswith(f"{cause.full_key}."):
            return f"{key}: there is no such key, since {cause.full_key} is a single value."
        if "is not Optional" in str(cause) or given == "null":
            return f"{key}=null: it must have a value."
        if isinstance(cause, ConfigTypeError):
            return f"{value[1]}: a list and a mapping can't replace each other."
        return f"{value[1]}: {first_line(cause)}."
    return _one_line(error)


def _no_such_key(key: str, cause: Any) -> str:
    """The message for a key that is not in the config.

    Args:
        cause: OmegaConf's error, which has the mapping in which the key was looked for.
    """
    parent, _, name = key.rpartition(".")
    if parent == "trainer" and name in SET_ELSEWHERE:
        return f"{key}: {SET_ELSEWHERE[name]}."
    node = getattr(cause, "parent_node", None)
    if node is None:  # a choice in a group that does not exist
        return unknown_key(key, groups())
    inside, _, missing = str(cause.full_key).rpartition(".")
    siblings = [f"{inside}.{other}" if inside else str(other) for other in node]
    full = f"{inside}.{missing}" if inside else missing
    known = siblings if inside else [name for name in dict.fromkeys([*siblings, *groups()]) if name != "hydra"]
    message = unknown_key(full, known)
    if "did you mean" in message or OmegaConf.get_type(node) is not dict:
        return message
    return f"{message.removesuffix('.')}; +{full}=… adds it, where it is accepted."


def _missing_file(error: MissingConfigException) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if not error.options:
        return f"{_one_line(error).partition(' Config search path:')[0].rstrip('.')}."
    if "//" in group:  # an absolute path
        group, _, name = (error.missing_cfg_file or "").partition("/")
    return f"{group}={name}: there is no such choice; {group} can be {', '.join(sorted(error.options))}."


def _no_name_of_a_choice() -> str:
    """Hydra does not say which group it was."""
    known = groups()
    words = [word for word in sys.argv[1:] if word.partition("=")[0].lstrip("+") in known]
    wrong = [word for word in words if re.fullmatch(r"null|true|false|[\d.+-]+", word.partition("=")[2], re.IGNORECASE)]
    group = f"{wrong[0]}: a group" if wrong else "a group"
    return f"{group} is given the name of a choice, as in model=conv; --help lists the choices."


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
