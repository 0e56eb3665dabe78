"""The command line of the tools: key=value, as train.py has it, typed by a dataclass."""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from mnist_vae.utils.errors import SettingsError, first_line, unknown_key

T = TypeVar("T")


def option(default: Any = MISSING, *, meaning: str) -> Any:
    """A field of an options dataclass, with the line that --help gives it; without a default it must be given."""
    return dataclasses.field(default=default, metadata={"meaning": meaning})


def group(kind: type) -> Any:
    """A field that holds a dataclass of further options, whose keys are `field.key`."""
    return dataclasses.field(default_factory=kind, metadata={"kind": kind})


def parse(schema: type[T], words: Sequence[str]) -> T:
    """Parse `key=value` words; options that are not given have their defaults.

    Text is taken as it stands, so a path may hold any character; the rest is read by OmegaConf's rules.

    Raises:
        SettingsError: a word is no key=value, a key is unknown or missing, or a value is of the wrong type.
    """
    cfg = OmegaConf.structured(schema)
    known = [key for key, _ in _fields(schema)]
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise SettingsError(f"{word}: options are written key=value; --help lists the keys.")
        if key not in known:
            raise SettingsError(unknown_key(key, known))
        try:
            # Escaped, or OmegaConf would take ${…} in a path for a reference to another key.
            OmegaConf.update(cfg, key, None if value == "null" else value.replace("${", r"\${"))
        except OmegaConfBaseException as error:
            raise SettingsError(f"{word}: {first_line(error)}.") from error
    missing = [key for key in known if OmegaConf.is_missing(*_place(cfg, key))]
    if missing:
        raise SettingsError(f"{missing[0]}: it is not given, and is needed; --help says what it is.")
    try:
        options = OmegaConf.to_object(cfg)
    except (ValueError, ConfigKeyError) as error:  # from a schema's own __post_init__
        raise SettingsError(f"{first_line(error)}.") from error
    assert isinstance(options, schema)
    return options


def usage(schema: type, doc: str) -> str:
    """The text of --help: the tool's docstring and a line for each key."""
    width = max(len(key) for key, _ in _fields(schema)) + 2
    lines = []
    for key, field in _fields(schema):
        default = getattr(field.default, "name", field.default)
        shown = "" if default is MISSING or default in (None, "") else f" (default {default})"
        lines.append(f"    {key:{width}} {field.metadata['meaning']}{shown}")
    return "\n".join([doc.strip(), "", "Keys:", *lines])


def _fields(schema: type, prefix: str = "") -> list[tuple[str, dataclasses.Field]]:
    found = []
    for field in dataclasses.fields(schema):
        kind = field.metadata.get("kind")
        found += _fields(kind, f"{prefix}{field.name}.") if kind else [(prefix + field.name, field)]
    return found


def _place(cfg: Any, key: str) -> tuple[Any, str]:
    group, _, name = key.rpartition(".")
    return (OmegaConf.select(cfg, group) if group else cfg), name
