"""The settings in which the jobs of a sweep differ, in as few keys as possible.

Configs and overrides can come from anyone: they are plain data here, and no interpolation in them is resolved.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mnist_vae.config.hparams import Choices
from mnist_vae.config.overrides import HOW_TO_RUN, NOT_THE_EXPERIMENT, experiment_overrides

Flat = dict[str, Any]
Config = Mapping[str, Any]  # of dicts, lists and scalars
SEED = "seed"


def settings_of(config: Config | None, overrides: Sequence[str], choices: Choices) -> Flat:
    """A job's settings as {dotted key: value}, config groups by the name of their choice.

    Args:
        config: the run's config; None if it has not begun, and only the overrides are known.
        overrides: `key=value` as typed.
        choices: the choice made in each config group.
    """
    settings = {} if config is None else _named(config, choices)
    for key, text in _pairs(overrides):
        settings.setdefault(key, _value(text))
    return settings


def experiment_of(config: Config) -> str:
    """The config without the seed and the place of the images: equal for runs that differ in these alone.

    Keys of the value null are left out too, since the runs of an earlier version lack those that are new.
    """
    left_out = (*NOT_THE_EXPERIMENT, SEED)
    kept = {key: value for key, value in _experiment(config).items() if key not in left_out and value is not None}
    return json.dumps(kept, sort_keys=True, default=str)


def varied_keys(jobs: Iterable[tuple[Flat, Sequence[str], str | None]]) -> list[str]:
    """The keys in which jobs differ: those that were given for them, and as few others as needed.

    A key that only follows another is left out: model.hidden_dims where it comes with the model, objective.beta
    where it is beta.

    Args:
        jobs: the settings, overrides and experiment of each; see `settings_of` and `experiment_of`.
    """
    jobs = list(jobs)
    given = dict.fromkeys(key for _, overrides, _ in jobs for key, _ in _pairs(overrides))
    begun = [(settings, experiment) for settings, _, experiment in jobs if experiment is not None]
    keys = [key for key in given if _differs(key, jobs)]
    others = dict.fromkeys(key for settings, _ in begun for key in settings)
    for key in [key for key in others if key not in keys and key not in NOT_THE_EXPERIMENT and key != "data.name"]:
        if given:
            needed = _splits(key, keys, begun)
        else:
            needed = len({_text(settings, key) for settings, _ in begun}) > 1 and not _follows(key, keys, begun)
        if needed:
            keys.append(key)
    return keys


def _differs(key: str, jobs: list[tuple[Flat, Sequence[str], str | None]]) -> bool:
    """Whether jobs have different values of a key that was given for some of them."""
    known = [_text(settings, key) for settings, _, experiment in jobs if experiment is not None or key in settings]
    parts = any(other.startswith(f"{key}.") for settings, _, _ in jobs for other in settings)
    if parts and None in known:
        return False  # a group without a name of its own, such as logger, typed for some: they may have the same
    return len(set(known)) > 1


def _splits(key: str, keys: list[str], begun: list[tuple[Flat, str]]) -> bool:
    """Whether the key separates runs of different experiments that are equal in all of `keys`."""
    if key == SEED:  # not part of an experiment, and always shown
        return len({_text(settings, key) for settings, _ in begun}) > 1
    alike: dict[tuple, dict[str, str | None]] = {}
    for settings, experiment in begun:
        same = tuple(_text(settings, other) for other in keys if other != SEED)
        alike.setdefault(same, {})[experiment] = _text(settings, key)
    return any(len(set(values.values())) > 1 for values in alike.values())


def _follows(key: str, keys: list[str], begun: list[tuple[Flat, str]]) -> bool:
    """Whether a key is redundant beside `keys`: it repeats one, or follows from the choice of a group."""
    group, _, leaf = key.rpartition(".")
    if leaf in keys and all(_text(settings, key) in (_text(settings, leaf), None) for settings, _ in begun):
        return True
    top = group.partition(".")[0]
    return top in keys and not _splits_within(key, top, begun)


def _splits_within(key: str, group: str, begun: list[tuple[Flat, str]]) -> bool:
    values: dict[str | None, set[str | None]] = {}
    for settings, _ in begun:
        values.setdefault(_text(settings, group), set()).add(_text(settings, key))
    return any(len(found) > 1 for found in values.values())


def _pairs(overrides: Sequence[str]) -> list[tuple[str, str]]:
    kept = [override for override in experiment_overrides(overrides) if "=" in override]
    pairs = [override.lstrip("+~").split("=", 1) for override in kept]
    return [(key.partition("@")[0], text) for key, text in pairs]


def _named(config: Config, choices: Choices) -> Flat:
    """The config's entries, each group by the name of its choice; what else has a `_target_`, by its class."""
    named: Flat = {}
    for key, value in _experiment(config).items():
        group, name = key.partition(".")[0], key.removesuffix("._target_")
        if group != key and group in choices:
            named.setdefault(group, choices[group])
        if name == key:
            named[key] = value
        elif name not in named:
            named[name] = str(value).rpartition(".")[2]
    for group in map(str, config):
        if group in choices:  # one whose config is empty
            named.setdefault(group, choices[group])
    named.setdefault("data", named.get("data.name"))
    return named


def _experiment(config: Config) -> Flat:
    """The config without the keys of how a sweep's jobs are chosen and run."""
    how = tuple(f"{key}." for key in HOW_TO_RUN)
    return {key: value for key, value in _flat(config).items() if not f"{key}.".startswith(how)}


def _flat(node: Any, prefix: str = "") -> Flat:
    if not isinstance(node, Mapping):
        return {prefix: _simple(node)}
    flat: Flat = {}
    for name, value in node.items():
        flat |= _flat(value, f"{prefix}.{name!s}" if prefix else str(name))
    return flat


def _simple(value: Any) -> Any:
    """A scalar or a list of scalars; deeper lists, and integers that can't be a float, as text."""
    parts = value if isinstance(value, list) else [value]
    deep = any(isinstance(part, list | dict) or (isinstance(part, int) and abs(part) >= 2**63) for part in parts)
    return written(value) if deep else value


def _value(text: str) -> Any:
    """Parse a value of the command line: a number, a list, true, false, null, or the text itself."""
    for parse in (json.loads, float):  # float: such as .5
        try:
            return _simple(parse(text))
        except (ValueError, RecursionError):
            pass
    return text


def _text(settings: Flat, key: str) -> str | None:
    """A value to be compared: 1 and 1.0 are the same; None if there is none."""
    return written(settings[key]) if key in settings else None


def written(value: Any, digits: int = 12) -> str:
    """A setting's value as text, numbers with that many significant digits; 1 and 1.0 give the same."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.{digits}g}"
    if isinstance(value, list):
        return f"[{','.join(written(item, digits) for item in value)}]"
    return str(value)
