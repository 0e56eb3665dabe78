"""Errors that a user can resolve; the message of each is one complete sentence."""

import difflib
import re


class UserError(Exception):
    """Base class of errors outside the code. The message names the key or file, the problem and its solution."""


class SettingsError(UserError):
    """A configuration value is out of range or not compatible with others."""


class DataError(UserError):
    """Images are missing or damaged, or cannot be downloaded."""


class RunFolderError(UserError):
    """A run folder is incomplete, damaged, in use, not writable, or belongs to another configuration."""


class UnwritableError(RunFolderError):
    """A file can't be written.

    Args:
        error: what the attempt raised.
        path: the file, or what is known of it.
        otherwise: what can be done but to make it writable.
    """

    def __init__(self, error: OSError, path: object, otherwise: str) -> None:
        reason = error.strerror or first_line(error)
        super().__init__(f"{path} can't be written ({reason}); free space or allow writing there, or {otherwise}.")


class TrainingDiverged(UserError):
    """The loss is not finite."""


def unknown_key(key: str, known: list[str], remedy: str = "") -> str:
    """Message for a key that does not exist, suggesting the most similar key of `known`, or listing all of them, and
    then the remedy."""
    # Compared by the last component, since a long common prefix would make all keys of a group similar.
    leaves = {other.rpartition(".")[2]: other for other in known}
    similar = difflib.get_close_matches(key.rpartition(".")[2], leaves, n=1, cutoff=0.6)
    if similar:
        return f"{key}: there is no such key; did you mean {leaves[similar[0]]}?"
    return f"{key}: there is no such key; there are {', '.join(known) or 'none here'}{remedy}."


def first_line(error: BaseException) -> str:
    """First line of an exception's message, without colour codes; the name of its type if the message is empty.

    If the line ends with a colon, the next one follows it.
    Characters that are not printable become spaces: a message may quote a file or a server, and controls the terminal.
    """
    plain = re.sub("\x1b\\[[0-9;]*m", "", str(error))  # some messages of torch are coloured
    first, second = [*map(str.strip, plain.splitlines()), "", ""][:2]
    line = f"{first} {second}".strip() if first.endswith(":") else first or type(error).__name__
    return "".join(character if character.isprintable() else " " for character in line)
