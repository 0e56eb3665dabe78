import collections.abc
import datetime
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from mnist_vae.config.instantiate import (
    SAFE_MODULES,
    SAFE_SOURCES,
    check_node,
    check_safe,
    instantiate,
    instantiate_callable,
    packages_of,
)
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.objectives import ELBO
from mnist_vae.utils.errors import SettingsError

SHAPE = {"image_shape": (1, 4, 4), "latent_dim": 2, "parameters_per_value": 1}
MLP_NODE = {"_target_": "mnist_vae.models.networks.mlp.MLP", "hidden_dims": [8]}


def test_the_target_is_called_with_the_configs_and_the_given_arguments() -> None:
    net = instantiate("model", OmegaConf.create(MLP_NODE), **SHAPE, not_wanted=1)
    assert isinstance(net, MLP) and net.features == 8


def test_values_are_converted_to_the_types_of_the_signature() -> None:
    objective = instantiate("objective", OmegaConf.create({"_target_": "mnist_vae.objectives.ELBO", "beta": "2"}))
    assert isinstance(objective, ELBO) and objective.beta == 2.0


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({**MLP_NODE, "hiden_dims": [3]}, "model.hiden_dims: there is no such key; did you mean model.hidden_dims"),
        ({**MLP_NODE, "hidden_dims": ["a"]}, "model.hidden_dims=\\['a'\\]: Value 'a'"),
        ({**MLP_NODE, "hidden_dims": 3}, "model.hidden_dims=3"),
        ({**MLP_NODE, "hidden_dims": [0]}, "model: hidden_dims is \\[0\\]"),
        ({"_target_": MLP_NODE["_target_"]}, "model.hidden_dims: not given"),
        ({"_target_": "mnist_vae.models.networks.mlp.MPL", "hidden_dims": [8]}, "nothing can be imported"),
        ({"_target_": "nowhere.Net"}, "nothing can be imported"),
        ({"_target_": "Net"}, "nothing can be imported"),
        ({"_target_": "mnist_vae.data.images.DIGITS"}, "DIGITS: it must be a class or a function"),
        ({"hidden_dims": [8]}, "model: it must be a mapping with a _target_"),
        ({**MLP_NODE, "latent_dim": 3}, "model.latent_dim: there is no such key"),
    ],
)
def test_mistakes_are_reported_by_their_keys(node: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        instantiate("model", OmegaConf.create(node), **SHAPE)


@pytest.mark.parametrize("target", ["torch.optim.Adam", "torch.optim.AdamW", "torch.optim.SGD"])
def test_torchs_own_optimisers_can_be_built(target: str) -> None:
    node = OmegaConf.create({"_target_": target, "lr": 0.5})
    optimizer = instantiate("optimizer", node, params=[torch.zeros(1, requires_grad=True)])
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_an_error_of_the_target_is_reported() -> None:
    node = OmegaConf.create({"_target_": "torch.optim.Adam", "betas": [2.0, 0.9]})
    with pytest.raises(SettingsError, match="optimizer: Invalid beta"):
        instantiate("optimizer", node, params=[torch.zeros(1, requires_grad=True)])


class Holder:
    """Takes anything; `length` is an argument of the program's, not of the config's."""

    def __init__(self, length: int = 0, **entries: Any) -> None:
        self.length, self.entries = length, entries

    def __call__(self, x: float) -> float:
        return x

    @classmethod
    def doubled(cls, length: int) -> "Holder":
        return cls(2 * length)


HOLDER = f"{__name__}.Holder"
DAYS = {"_target_": "datetime.timedelta", "days": 2}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (DAYS, datetime.timedelta(2)),
        ([DAYS, 1], [datetime.timedelta(2), 1]),
        ({"inner": [DAYS]}, {"inner": [datetime.timedelta(2)]}),
        ({"_target_": "datetime.timedelta", "_args_": [3]}, datetime.timedelta(3)),
        ({"plain": [1, "a"]}, {"plain": [1, "a"]}),
    ],
    ids=str,
)
def test_nested_targets_are_built_at_any_depth(entry: Any, expected: Any) -> None:
    held = instantiate("callbacks.mine", OmegaConf.create({"_target_": HOLDER, "held": entry}))
    assert held.entries == {"held": expected} and type(held.entries["held"]) is type(expected)  # not OmegaConf's


def test_an_error_of_a_nested_target_is_reported() -> None:
    node = OmegaConf.create({"_target_": HOLDER, "held": {"_target_": "datetime.timedelta", "days": "x"}})
    with pytest.raises(SettingsError, match=r"^callbacks\.mine: .*unsupported type.*\.$"):
        instantiate("callbacks.mine", node)


def test_a_partial_has_the_given_arguments_bound() -> None:
    make = instantiate("part", OmegaConf.create({"_target_": HOLDER, "_partial_": True, "a": 1}), length=3)
    made = make(b=2)
    assert (made.length, made.entries) == (3, {"a": 1, "b": 2})
    incomplete = instantiate("model", OmegaConf.create({"_target_": MLP_NODE["_target_"], "_partial_": True}), **SHAPE)
    assert incomplete(hidden_dims=[8]).features == 8


def test_a_target_with_keyword_arguments_accepts_any_entry_but_a_given_one() -> None:
    node = {"_target_": HOLDER, "anything": [1]}
    made = instantiate("part", OmegaConf.create(node), length=3, not_wanted=1)
    assert (made.length, made.entries) == (3, {"anything": [1]})
    with pytest.raises(SettingsError, match=r"part\.length: there is no such key"):
        instantiate("part", OmegaConf.create(node | {"length": 4}), length=3)


def test_a_target_can_be_a_method() -> None:
    assert instantiate("part", OmegaConf.create({"_target_": f"{HOLDER}.doubled", "length": 2})).length == 4


def test_given_arguments_are_passed_as_they_are() -> None:
    given = torch.zeros(1)
    assert instantiate("part", OmegaConf.create({"_target_": HOLDER}), length=given).length is given


def scaled(x: float, scale: float, offset: float = 0.0) -> float:
    return scale * x + offset


def test_a_callable_is_a_function_with_its_other_arguments_or_an_instance() -> None:
    node = OmegaConf.create({"_target_": f"{__name__}.scaled", "scale": "3"})
    assert instantiate_callable("schedule", node, "x", offset=1.0)(2.0) == 7.0
    with pytest.raises(SettingsError, match=r"schedule\.scale: not given"):
        instantiate_callable("schedule", OmegaConf.create({"_target_": f"{__name__}.scaled"}), "x")
    with pytest.raises(SettingsError, match=r"schedule\.x: there is no such key"):
        instantiate_callable("schedule", OmegaConf.create(dict(node) | {"x": 1}), "x")
    assert isinstance(instantiate_callable("part", OmegaConf.create({"_target_": HOLDER}), "x"), Holder)


@pytest.mark.parametrize("target", ["os.getcwd", "datetime.timedelta"])
def test_what_cannot_be_called_with_the_later_arguments_is_refused(target: str) -> None:
    with pytest.raises(
        SettingsError, match=rf"^schedule\._target_={target}: it must be a class of callables, .* epoch"
    ):
        instantiate_callable("schedule", OmegaConf.create({"_target_": target}), "epoch")


def made() -> Holder:
    return Holder(7)


def other() -> int:
    raise AssertionError("it was called")


def unannotated(right=True):
    return Holder(1) if right else 1


def perhaps(right=True) -> Holder | None:
    return Holder(1) if right else None


@pytest.mark.parametrize("target", ["unannotated", "perhaps"])
def test_what_a_function_without_a_class_as_annotation_made_is_checked(target: str) -> None:
    node = {"_target_": f"{__name__}.{target}"}
    assert isinstance(instantiate("part", OmegaConf.create(node), Holder), Holder)
    check_node("part", OmegaConf.create(node), Holder)
    with pytest.raises(SettingsError, match=r"it makes no Holder"):
        instantiate("part", OmegaConf.create(node | {"right": False}), Holder)


def test_a_target_of_another_kind_is_not_called() -> None:
    for target in (HOLDER, f"{__name__}.made"):
        assert isinstance(instantiate("part", OmegaConf.create({"_target_": target}), Holder), Holder)
        check_node("part", OmegaConf.create({"_target_": target}), Holder)
    refused = [{"_target_": target} for target in (f"{__name__}.other", "datetime.timedelta", "os.getcwd")]
    for node in (*refused, {"_target_": HOLDER, "_partial_": True}):
        for check in (instantiate, check_node):
            with pytest.raises(
                SettingsError, match=r"^part\._target_=.*: it makes no Holder; it must be a class derived"
            ):
                check("part", OmegaConf.create(node), Holder)


def test_arguments_are_checked_without_a_call() -> None:
    node = OmegaConf.create({"_target_": f"{__name__}.scaled", "scale": 1})
    with pytest.raises(SettingsError, match=r"it makes no Holder"):
        check_node("part", node, Holder)
    with pytest.raises(SettingsError, match=r"part\.length=x: Value 'x'"):
        check_node("part", OmegaConf.create({"_target_": HOLDER, "length": "x"}), Holder)


class Shaped:
    def __init__(self, pair: tuple[float | torch.Tensor, float], names: list[str], text: str = "") -> None:
        self.pair = pair


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"pair": [0.9], "names": []}, r"part\.pair=\[0\.9\]: it must be a list of 2 values\."),
        ({"pair": 0.9, "names": []}, r"part\.pair=0\.9: it must be a list, such as \[0\.9\]\."),
        ({"pair": ["a", 1], "names": []}, r"part\.pair=\['a', 1\]: Value 'a'"),
        ({"pair": [1, 2], "names": [["a"]]}, r"part\.names=\[\['a'\]\]: its entries must be single values"),
        ({"pair": [1, 2], "names": [None]}, r"part\.names=\[None\]: its entries must be single values"),
        ({"pair": [1, 2], "names": None}, r"part\.names=null: it must have a value\."),
        ({"pair": [1, 2], "names": [], "text": None}, r"part\.text=null: it must have a value\."),
    ],
    ids=str,
)
def test_values_have_the_shape_of_the_signature(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=f"^{message}"):
        instantiate("part", OmegaConf.create({"_target_": f"{__name__}.Shaped", **entries}))


def test_alternatives_that_no_config_holds_are_left_out_of_a_type() -> None:
    node = OmegaConf.create({"_target_": f"{__name__}.Shaped", "pair": ["1", 2], "names": ["a"]})
    assert instantiate("part", node).pair == [1.0, 2.0]


class Unlike:
    """Has types of which a config can hold only some values."""

    def __init__(
        self,
        every: int | datetime.timedelta | dict | None = None,
        hook: collections.abc.Callable | None = None,
        holder: Holder = None,  # type: ignore[assignment]
    ) -> None:
        self.given = (every, hook, holder)


@pytest.mark.parametrize(
    "entries",
    [{"every": {"minutes": 5}}, {"every": 3}, {"every": None}, {"hook": None}, {"hook": "x"}, {"holder": None}],
)
def test_a_value_of_a_type_that_is_not_known_is_left_to_the_target(entries: dict[str, Any]) -> None:
    built = instantiate("part", OmegaConf.create({"_target_": f"{__name__}.Unlike", **entries}))
    assert next(iter(entries.values())) in built.given


def allocating() -> None:
    raise RuntimeError("can't allocate memory: you tried to allocate 1600000000000 bytes. Error code 12")


def overflowing() -> None:
    raise RuntimeError("Overflow when unpacking long long")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "allocating",
            r"^model: out of memory: 1,600\.0 GB were asked for at once; smaller sizes, or a smaller latent_dim",
        ),
        ("overflowing", r"^model: a size is larger than there are numbers for"),
    ],
)
def test_sizes_that_are_too_large_are_reported_as_such(target: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        instantiate("model", OmegaConf.create({"_target_": f"{__name__}.{target}"}))


def check_module(node: dict, trust: Sequence[str] = ()) -> None:
    check_safe("model", OmegaConf.create(node), SAFE_MODULES, trust)


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "mnist_vae.models.likelihoods.Bernoulli"},
        {"_target_": "torch.nn.modules.activation.GELU"},
        MLP_NODE | {"activation": {"_target_": "torch.nn.modules.activation.GELU"}},
    ],
    ids=str,
)
def test_classes_of_known_packages_are_safe(node: dict) -> None:
    check_module(node)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "torch.load",
        "torch.hub.load",
        "torch.jit.load",
        "torch.utils.cpp_extension.load",
        "mnist_vae.runs.folder.load_run",  # ours, and not a module
        "mnist_vae.models.networks.base.math.prod",  # reached through ours
        "mnist_vae.models.networks.base.activation_class",  # a function beside the classes
        "mnist_vae.models.likelihoods.independent.F.binary_cross_entropy_with_logits",
        "mnist_vae.models.likelihoods.base.nn.Linear.load_state_dict",
        "torch.nn.modules.module.itertools.repeat",
        "torch.nn.modules.linear.torch.hub.load",
        "mnist_vae.models.likelihoods..Bernoulli",
        "",
    ],
)
def test_everything_else_is_refused_before_it_is_called(target: str) -> None:
    for trust in ((), ("tests",)):
        with pytest.raises(SettingsError, match=r"here only classes from|nothing can be imported"):
            check_module({"_target_": target}, trust)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"_target_": "os.getcwd"}, "model.held"),
        ([{"_target_": "os.getcwd"}], "model.held[0]"),
        ({"deep": {"_target_": "os.getcwd"}}, "model.held.deep"),
    ],
    ids=str,
)
def test_a_target_within_an_argument_is_checked_too(value: Any, place: str) -> None:
    with pytest.raises(SettingsError) as raised:
        check_module(MLP_NODE | {"held": value})
    assert str(raised.value).startswith(f"{place}._target_=os.getcwd: a run's folder can come from anyone")
    assert str(raised.value).endswith("allow its package by trust=os (in Python trust=['os']).")


def test_trust_is_for_what_a_package_defines() -> None:
    """A class or a function of it, but nothing that it imports."""
    check_module({"_target_": HOLDER}, ["tests"])
    check_module({"_target_": f"{__name__}.scaled", "held": {"_target_": HOLDER}}, ["tests.config"])
    for target, trust in ((HOLDER, ["test"]), (HOLDER, ["tests.data"]), (f"{__name__}.datetime.timedelta", ["tests"])):
        with pytest.raises(SettingsError, match="here only classes from"):
            check_module({"_target_": target}, trust)


def test_the_packages_of_a_config_are_those_of_its_targets() -> None:
    nodes = {"a": MLP_NODE, "b": [{"c": {"_target_": "torch.nn.GELU"}}], "d": {"_target_": "datetime.date"}}
    assert packages_of(OmegaConf.create(nodes)) == ["datetime", "torch"]


def test_safe_sources_are_classes_of_the_data_package() -> None:
    check_safe("data.source", OmegaConf.create({"_target_": "mnist_vae.data.digits.DigitsSource"}), SAFE_SOURCES, ())
    for target in ("os.getcwd", "mnist_vae.data.mnist.read_idx", "mnist_vae.data.mnist.Path"):
        with pytest.raises(SettingsError, match=r"only classes from mnist_vae\.data are allowed|nothing can be"):
            check_safe("data.source", OmegaConf.create({"_target_": target}), SAFE_SOURCES, ())
