"""The errors that a user can act on, each carrying one complete sentence."""

import difflib
import re


class UserError(Exception):
    """Something outside the code is wrong; the message says which key or file, what, and what would be right."""


class SettingsError(UserError):
    """A value of the configuration is out of range or does not fit the others."""


class DataError(UserError):
    """Images are missing, damaged, or can't be downloaded."""


class RunFolderError(UserError):
    """A run folder is incomplete, damaged, in use, unwritable, or belongs to another configuration."""


class TrainingDiverged(UserError):
    """The loss stopped being a finite number."""


def unknown_key(key: str, known: list[str]) -> str:
    """The sentence for a key that does not exist: the nearest ones that do, or all of its siblings."""
    # Compared without what they share, or every sibling in a group with a long name would look alike.
    leaves = {other.rpartition(".")[2]: other for other in known}
    near = difflib.get_close_matches(key.rpartition(".")[2], leaves, n=1, cutoff=0.6)
    if near:
        return f"{key}: there is no such key; did you mean {leaves[near[0]]}?"
    return f"{key}: there is no such key; there are {', '.join(known) or 'none here'}."


def first_line(error: BaseException) -> str:
    """What an exception from elsewhere says, short enough to be quoted in a sentence."""
    plain = re.sub("\x1b\\[[0-9;]*m", "", str(error))  # torch colours some of its messages
    return next(iter(plain.splitlines()), "") or type(error).__name__
