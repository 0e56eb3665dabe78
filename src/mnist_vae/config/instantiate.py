"""Build the object that a config node names: `_target_` and its arguments, checked before they are used."""

import dataclasses
import functools
import inspect
import pkgutil
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from mnist_vae.utils.errors import SettingsError, first_line, unknown_key

# Where the classes are defined that a saved run may name. A run folder can come from anyone; see runs.load.open_run.
SAFE_MODULES = (
    "mnist_vae.models.networks",
    "mnist_vae.models.likelihoods",
    "mnist_vae.models.posteriors",
    "mnist_vae.models.priors",
    "torch.nn.modules",
)
SAFE_SOURCES = ("mnist_vae.data",)
PLAIN = (bool, int, float, str, type(None))
OF_HYDRA = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_")  # entries that are not arguments


def instantiate(key: str, node: DictConfig, kind: type | None = None, /, **given: Any) -> Any:
    """Build the object that `node` describes by `hydra.utils.instantiate`: nested targets and `_partial_` work.

    Args:
        key: where the node stands in the config, for messages.
        kind: the class that it must be of; a target that is known to make another one is not called.
        given: arguments that the program, not the config, supplies. Those that the target does not accept are left
            out, so that e.g. a prior need not accept what only another prior needs.

    Raises:
        SettingsError: there is no such target, an argument is unknown, missing, of the wrong type, or refused by the
            target itself.
    """
    target = _locate_kind(key, node, kind) if kind else locate(key, node)
    configured = _configured(key, node, _arguments(key, target, node, given))
    supplied = _accepted(target, given)
    if node.get("_partial_"):
        return functools.partial(configured, **supplied)
    try:
        made = configured(**supplied)
    except Exception as error:
        raise _refused(key, error) from error
    if kind and not isinstance(made, kind):
        raise _of_another_kind(key, node, kind)
    return made


def check_node(key: str, node: DictConfig, kind: type, **given: Any) -> None:
    """Check what `instantiate` checks before it calls the target.

    Raises:
        SettingsError: as for `instantiate`.
    """
    _arguments(key, _locate_kind(key, node, kind), node, given)


def instantiate_callable(key: str, node: DictConfig, *later: str, **given: Any) -> Any:
    """Build what is called with the arguments `later`: an instance of the node's class, or its function with all other
    arguments filled in.

    Args:
        given: see `instantiate`.

    Raises:
        SettingsError: as for `instantiate`.
    """
    target = locate(key, node)
    is_class = inspect.isclass(target)
    callables: Any = Callable
    if not (issubclass(target, callables) if is_class else set(later) <= _parameters(key, node, target).keys()):
        raise SettingsError(
            f"{key}._target_={target_of(key, node)}: it must be a class of callables, or a function, with the "
            f"arguments {', '.join(later)}."
        )
    if is_class:
        return instantiate(key, node, **given)
    arguments = _arguments(key, target, node, dict.fromkeys(later) | given)
    return functools.partial(_configured(key, node, arguments), **_accepted(target, given))


def check_safe(key: str, node: DictConfig, packages: Sequence[str], trust: Sequence[str]) -> None:
    """Check that each `_target_` in a node, at any depth, is code that a config from anyone may name.

    Args:
        packages: of this project or of torch, whose classes may be named.
        trust: packages whose classes and functions may be named.

    Raises:
        SettingsError: a target is none of these. Nothing but these packages has been imported, and nothing called.
    """
    target_of(key, node)
    for place, entries in _nodes(key, _plain(node)):
        target = str(entries["_target_"])
        if _defined_in(packages, place, target, inspect.isclass):
            if "_args_" in entries:  # by their places, arguments would pass the checks of names such as `root`
                raise SettingsError(f"{place}._args_: a run's folder can come from anyone; here arguments have names.")
        elif not _defined_in(trust, place, target, callable):
            package = _home(target, trust)
            raise SettingsError(
                f"{place}._target_={target}: a run's folder can come from anyone, so here only classes from "
                f"{', '.join(packages)} are allowed; if you trust that code, allow its package by trust={package} "
                f"(in Python trust=[{package!r}])."
            )


def _defined_in(packages: Sequence[str], key: str, name: str, is_allowed: Callable[[Any], bool]) -> bool:
    """Whether the name is of something in these packages that was defined there and is allowed."""

    def within(module: str) -> bool:
        return any(module == package or module.startswith(package + ".") for package in packages)

    if not within(name.rpartition(".")[0]):
        return False
    target = _resolve(key, name)
    # A name in a safe module can be an import from an unsafe one, so look at where it was defined.
    return is_allowed(target) and within(getattr(target, "__module__", None) or "")


def _home(target: str, trust: Sequence[str]) -> str:
    """The top-level package to trust for a target: that of its name, or if that is trusted, where it was defined."""
    package = target.partition(".")[0]
    if package not in trust:
        return package
    return str(getattr(_resolve("", target), "__module__", package)).partition(".")[0]


def packages_of(cfg: DictConfig) -> list[str]:
    """The top-level packages, but for this project's, by which and in which all code is defined that a config names."""
    targets = [str(entries["_target_"]) for _, entries in _nodes("", _plain(cfg))]
    named = {target.partition(".")[0] for target in targets}
    return sorted((named | {_home(target, list(named)) for target in targets}) - {__name__.partition(".")[0]})


def _nodes(key: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping with a `_target_` in plain data, at any depth, with its key."""
    if isinstance(value, dict):
        if "_target_" in value:
            yield key, value
        for name, entry in value.items():
            yield from _nodes(f"{key}.{name}", entry)
    if isinstance(value, list):
        for place, entry in enumerate(value):
            yield from _nodes(f"{key}[{place}]", entry)


def locate(key: str, node: DictConfig) -> Any:
    """The class or function that a node's `_target_` names.

    Raises:
        SettingsError: there is none.
    """
    target = _resolve(key, target_of(key, node))
    if not callable(target):
        raise SettingsError(f"{key}._target_={target_of(key, node)}: it must be a class or a function.")
    return target


def _locate_kind(key: str, node: DictConfig, kind: type) -> Any:
    """The class or function that a node's `_target_` names, unless it is known to make no object of the class `kind`.

    A function written in Python may do so unless it is annotated to return another class.
    """
    target = locate(key, node)
    made = target if inspect.isclass(target) else _hints(target).get("return")
    if node.get("_partial_") or inspect.isbuiltin(target) or (inspect.isclass(made) and not issubclass(made, kind)):
        raise _of_another_kind(key, node, kind)
    return target


def _of_another_kind(key: str, node: DictConfig, kind: type) -> SettingsError:
    return SettingsError(
        f"{key}._target_={target_of(key, node)}: it makes no {kind.__name__}; it must be a class derived from "
        f"{kind.__module__}.{kind.__name__}, or a function that returns one."
    )


def _resolve(key: str, name: str) -> Any:
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"{key}._target_={name}: nothing can be imported under that name ({error}).") from error


def target_of(key: str, node: Any) -> str:
    """The dotted name that a node's `_target_` is; raise SettingsError if it has none."""
    if not isinstance(node, DictConfig) or not isinstance(node.get("_target_"), str):
        has = f"; it has only {', '.join(map(str, node))}" if isinstance(node, DictConfig) and node else ""
        raise SettingsError(
            f"{key}: it must be a mapping with a _target_, the name of a class, and its arguments{has}."
        )
    return node["_target_"]


def _configured(key: str, node: DictConfig, arguments: dict[str, Any]) -> Any:
    """The target with these arguments filled in; what nested targets name is built.

    Hydra does not get the arguments that the program supplies, since it would copy them.
    """
    try:
        return hydra.utils.instantiate(_plain(node) | arguments, _partial_=True, _convert_="all")
    except InstantiationException as error:
        raise _refused(key, error.__cause__ if isinstance(error.__cause__, Exception) else error) from error


def _refused(key: str, error: Exception) -> SettingsError:
    """What a target raised, as an error of the config."""
    if out_of_memory(error):
        return SettingsError(f"{key}: {out_of_memory(error)}; smaller sizes, or a smaller latent_dim, need less.")
    if "verflow" in str(error):
        return SettingsError(f"{key}: a size is larger than there are numbers for; choose a smaller one.")
    return SettingsError(f"{key}: {first_line(error).rstrip('.')}.")


def out_of_memory(error: BaseException) -> str | None:
    """`out of memory`, with how much was asked for, where torch says so; None for another error."""
    text = str(error)
    if type(error).__name__ not in ("OutOfMemoryError", "MemoryError") and "can't allocate memory" not in text:
        return None
    asked = re.search(r"tried to allocate ([\d.]+ \w+)", text, re.IGNORECASE)
    if not asked:
        return "out of memory"
    amount, unit = asked[1].split()
    return f"out of memory: {f'{float(amount) / 1e9:,.1f} GB' if unit == 'bytes' else asked[1]} were asked for at once"


def _accepted(target: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Those of the given arguments that the target's signature names."""
    parameters = inspect.signature(target).parameters
    return {name: value for name, value in given.items() if name in parameters}


def _arguments(key: str, target: Any, node: DictConfig, given: dict[str, Any]) -> dict[str, Any]:
    """The node's entries, checked against the target's signature, which `given` completes."""
    parameters = _parameters(key, node, target)
    arguments = {name: value for name, value in _plain(node).items() if name not in OF_HYDRA}
    configurable = [name for name in parameters if name not in given and name != "params"]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in arguments:
        if name not in configurable and (name in given or not takes_any):
            remedy = f"; where an experiment sets it for another choice, ~{key}.{name} leaves it out"
            raise SettingsError(unknown_key(f"{key}.{name}", [f"{key}.{other}" for other in configurable], remedy))
    arguments = {name: _typed(key, target, name, value) for name, value in arguments.items()}
    if not (node.get("_partial_") or node.get("_args_")):
        required = [n for n, p in parameters.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        missing = [f"{key}.{name}" for name in required if name not in arguments and name not in given]
        if missing:
            raise SettingsError(f"{', '.join(missing)}: not given, and {node.get('_target_')} needs it.")
    return arguments


def _parameters(key: str, node: DictConfig, target: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(target).parameters
    except ValueError as error:  # of a class written in C
        raise SettingsError(f"{key}._target_={target_of(key, node)}: its arguments are not known.") from error


def _plain(node: DictConfig) -> dict[str, Any]:
    entries: Any = OmegaConf.to_container(node, resolve=True)
    return {str(name): value for name, value in entries.items()}


def _typed(key: str, target: Any, name: str, value: Any) -> Any:
    """`value` as the type that the target's signature gives it, by OmegaConf's own rules of conversion."""
    if any(_nodes(name, value)):
        return value  # it becomes an object, whose type its own target decides
    hint = _of_config(_hints(target).get(name, Any))
    _check_shape(f"{key}.{name}", hint, value)
    try:
        schema = OmegaConf.structured(dataclasses.make_dataclass("Argument", [(name, hint)]))
    except (OmegaConfBaseException, TypeError):
        return value  # a type that OmegaConf does not know
    try:
        return OmegaConf.to_container(OmegaConf.merge(schema, {name: value}))[name]  # type: ignore[index,call-overload]
    except ValidationError as error:
        if value is None:
            raise SettingsError(f"{key}.{name}=null: it must have a value.") from error
        raise SettingsError(f"{key}.{name}={value}: {first_line(error).rstrip('.')}.") from error


def _hints(target: Any) -> dict[str, Any]:
    """The types in a target's signature, as far as they are known here."""
    try:
        return typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError):
        return {}


def _of_config(hint: Any) -> Any:
    """A type without those alternatives that no config can hold: float of torch's Union[float, Tensor]."""
    arguments = tuple(_of_config(argument) for argument in typing.get_args(hint))
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        known = [one for one in arguments if typing.get_origin(one) or one in (*PLAIN, list, tuple, dict)]
        return typing.Union[tuple(known)] if set(known) - {type(None)} else Any  # noqa: UP007
    return origin[arguments] if origin in (list, tuple, dict) and arguments else hint


def _check_shape(key: str, hint: Any, value: Any) -> None:
    """Raise SettingsError if a list is to be given, and none is, or one of another length or depth."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin not in (list, tuple) or value is None:
        return
    if not isinstance(value, list):
        raise SettingsError(f"{key}={value}: it must be a list, such as [{value}].")
    if origin is tuple and Ellipsis not in arguments and len(value) != len(arguments):
        raise SettingsError(f"{key}={value}: it must be a list of {len(arguments)} values.")
    if any(entry is None or isinstance(entry, list) for entry in value) and all(one in PLAIN for one in arguments):
        raise SettingsError(f"{key}={value}: its entries must be single values, neither lists nor null.")
