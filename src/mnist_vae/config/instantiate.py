"""Building the object that a config node names: `_target_` and its arguments, checked before they are used."""

import dataclasses
import functools
import importlib
import inspect
import typing
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from mnist_vae.utils.errors import SettingsError, first_line, unknown_key

# The classes that a saved run may name. A run folder can come from anyone; see loading.open_run.
SAFE_PACKAGES = (
    "mnist_vae.models.networks",
    "mnist_vae.models.likelihoods",
    "mnist_vae.models.posteriors",
    "mnist_vae.models.priors",
    "torch.nn.modules",
)
SAFE_SOURCES = ("mnist_vae.data",)


def instantiate_callable(key: str, node: DictConfig, *later: str, **given: Any) -> Any:
    """What `node` describes, to be called with the arguments `later`: an instance of its class, or its function
    with the other arguments filled in.

    Args:
        given: see `instantiate`.

    Raises:
        SettingsError: as for `instantiate`.
    """
    target = locate(key, node)
    if inspect.isclass(target):
        return _call(key, target, node, given)
    arguments = _arguments(key, target, node, dict.fromkeys(later) | given)
    accepted = inspect.signature(target).parameters
    return functools.partial(target, **arguments, **{name: given[name] for name in given if name in accepted})


def instantiate(key: str, node: DictConfig, **given: Any) -> Any:
    """The object that `node` describes: its `_target_` called with its other entries and with `given`.

    Args:
        key: where the node stands in the config, for messages.
        given: arguments that the program, not the config, supplies. Those that the target does not take are
            left out, so that e.g. a prior need not accept what only another prior needs.

    Raises:
        SettingsError: there is no such target, an argument is unknown, missing, of the wrong type, or refused
            by the target itself.
    """
    return _call(key, locate(key, node), node, given)


def instantiate_safely(key: str, node: DictConfig, **given: Any) -> Any:
    """As `instantiate`, but only for torch modules defined in SAFE_PACKAGES: nothing else is imported or called.

    Raises:
        SettingsError: the target is anything else; otherwise as for `instantiate`.
    """
    import torch

    target = _locate_safely(key, node, SAFE_PACKAGES)
    if not issubclass(target, torch.nn.Module):
        raise _refusal(key, node, SAFE_PACKAGES)
    return _call(key, target, node, given)


def instantiate_source_safely(key: str, node: DictConfig) -> Any:
    """As `instantiate`, but only for classes defined in SAFE_SOURCES.

    Raises:
        SettingsError: the target is anything else; otherwise as for `instantiate`.
    """
    return _call(key, _locate_safely(key, node, SAFE_SOURCES), node, {})


def _locate_safely(key: str, node: DictConfig, packages: tuple[str, ...]) -> type:
    if not any(_target(key, node).startswith(package + ".") for package in packages):
        raise _refusal(key, node, packages)
    target = locate(key, node)
    module = getattr(target, "__module__", None) or ""
    # A name in a safe module can be an import from an unsafe one, so look at where the class was written.
    written_here = any(module == package or module.startswith(package + ".") for package in packages)
    if not (inspect.isclass(target) and written_here):
        raise _refusal(key, node, packages)
    return target


def _refusal(key: str, node: DictConfig, packages: tuple[str, ...]) -> SettingsError:
    kind = "classes" if packages == SAFE_SOURCES else "torch modules"
    return SettingsError(
        f"{key}._target_={_target(key, node)}: here only {kind} from {', '.join(packages)} are allowed."
    )


def locate(key: str, node: DictConfig) -> Any:
    """The class or function that a node's `_target_` names.

    Raises:
        SettingsError: there is none.
    """
    name = _target(key, node)
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"{key}._target_={name}: nothing can be imported under that name ({error}).") from error


def _target(key: str, node: Any) -> str:
    if not isinstance(node, DictConfig) or not isinstance(node.get("_target_"), str):
        raise SettingsError(f"{key}: it must be a mapping with a _target_, the name of a class, and its arguments.")
    return node["_target_"]


def _call(key: str, target: Any, node: DictConfig, given: dict[str, Any]) -> Any:
    arguments = _arguments(key, target, node, given)
    accepted = inspect.signature(target).parameters
    try:
        return target(**arguments, **{name: value for name, value in given.items() if name in accepted})
    except Exception as error:
        raise SettingsError(f"{key}: {first_line(error)}.") from error


def _arguments(key: str, target: Any, node: DictConfig, given: dict[str, Any]) -> dict[str, Any]:
    """The node's entries, checked against the target's signature, which `given` completes."""
    accepted = inspect.signature(target).parameters
    entries = OmegaConf.to_container(node, resolve=True)
    assert isinstance(entries, dict)
    arguments = {str(name): value for name, value in entries.items() if name != "_target_"}
    configurable = [name for name in accepted if name not in given and name != "params"]
    for name in arguments:
        if name not in configurable:
            raise SettingsError(unknown_key(f"{key}.{name}", [f"{key}.{other}" for other in configurable]))
    arguments = {name: _typed(key, target, name, value) for name, value in arguments.items()}
    required = [n for n, p in accepted.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    missing = [f"{key}.{name}" for name in required if name not in arguments and name not in given]
    if missing:
        raise SettingsError(f"{', '.join(missing)}: not given, and {node.get('_target_')} needs it.")
    return arguments


def _typed(key: str, target: Any, name: str, value: Any) -> Any:
    """`value` as the type that the target's signature gives it, by OmegaConf's own rules of conversion."""
    hints = typing.get_type_hints(target if not inspect.isclass(target) else target.__init__)
    try:
        schema = OmegaConf.structured(dataclasses.make_dataclass("Argument", [(name, hints.get(name, Any))]))
    except OmegaConfBaseException:
        return value  # a type that OmegaConf has no word for, like torch's Union[float, Tensor]
    try:
        return OmegaConf.to_container(OmegaConf.merge(schema, {name: value}))[name]  # type: ignore[index,call-overload]
    except ValidationError as error:
        raise SettingsError(f"{key}.{name}={value}: {first_line(error)}.") from error
