"""Hydra's flags on the command line: they may stand anywhere among the overrides; a mistyped one is named."""

import argparse
import itertools
import os
from collections.abc import Sequence
from typing import Any, NoReturn

from mnist_vae.utils.errors import SettingsError

ALONE = ("--help", "-h"), ("--hydra-help",), ("--version",), ("--resolve",)
COMMANDS = ("--run", "-r"), ("--multirun", "-m"), ("--shell-completion", "-sc")  # of which one can be given
CONFIG_PATH = ("--config-path", "-cp")
WITH_VALUE = (
    ("--package", "-p"),
    CONFIG_PATH,
    ("--config-name", "-cn"),
    ("--config-dir", "-cd"),
    ("--experimental-rerun",),
)
INFO_CHOICES = ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"]
CFG, INFO = ("--cfg", "-c"), ("--info", "-i")
NAMES = [name for names in (*ALONE, *COMMANDS, *WITH_VALUE, CFG, INFO) for name in names]


def arranged(words: Sequence[str]) -> list[str]:
    """The words with the flags first: Hydra's own parser wants the overrides in one piece.

    Raises:
        SettingsError: a flag is none of Hydra's, or lacks its value; an override is not key=value.
    """
    parser = _Parser(add_help=False)
    parser.words = words
    commands = parser.add_mutually_exclusive_group()
    for names in ALONE:
        parser.add_argument(*names, action=_Keep, nargs=0)
    for names in COMMANDS:
        commands.add_argument(*names, action=_Keep, nargs=0)
    for names in WITH_VALUE:
        parser.add_argument(*names, action=_Keep)
    commands.add_argument(*CFG, action=_Keep, choices=["job", "hydra", "all"])
    commands.add_argument(*INFO, action=_Keep, nargs="?", choices=INFO_CHOICES, default=argparse.SUPPRESS)
    parser.set_defaults(flags=[])
    given, overrides = parser.parse_known_args(words)
    for word in overrides:
        if word.startswith("-"):
            raise _no_such_flag(word, words)
        key, equals, _ = word.partition("=")
        if not key or not (equals or key.startswith("~")):
            raise SettingsError(
                f"{word}: an override is written key=value, as in latent_dim=16; --help lists the keys."
            )
    return [*given.flags, *overrides]


def config_path_from_here(words: Sequence[str]) -> list[str]:
    """The arranged words, with the value of --config-path as an absolute path."""
    pairs = zip(["", *words], words, strict=False)
    return [os.path.abspath(word) if before in CONFIG_PATH else word for before, word in pairs]


class _Keep(argparse.Action):
    """Keep a flag and its value as they were given."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        namespace.flags = [*namespace.flags, option_string, *([values] if values else [])]


class _Parser(argparse.ArgumentParser):
    words: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """Raise the sentence on a word that is no flag, if that is the cause, else on how a flag was used."""
        for word in self.words:
            if word.startswith("-") and "=" in word and not _is_flag(word):
                raise _no_such_flag(word, self.words)
        raise SettingsError(f"{message}; --hydra-help explains Hydra's flags.")


def _is_flag(word: str) -> bool:
    """Whether it is a flag or, as argparse allows, the beginning of one."""
    return any(name.startswith(word.partition("=")[0]) for name in NAMES)


def _no_such_flag(word: str, words: Sequence[str]) -> SettingsError:
    key, equals, value = word.lstrip("-").partition("=")
    follows = next((after for before, after in itertools.pairwise(words) if before == word), "")
    if not equals and follows and "=" not in follows and not follows.startswith("-"):
        equals, value = "=", follows  # --latent_dim 16
    hint = f"did you mean {key}={value}?" if equals else "overrides are key=value, and --hydra-help lists the flags."
    return SettingsError(f"{word}: there is no such flag; {hint}")
