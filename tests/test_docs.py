"""The README's commands, tables and code are true."""

import inspect
import re
import runpy
import shlex
import sys
import types
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import OmegaConf

from mnist_vae.cli.options import parse
from mnist_vae.config import checks
from mnist_vae.runs.load import open_run
from mnist_vae.training.train import train
from tests.config.test_checks import CHOICES
from tests.conftest import ROOT, composed

README = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"^(?:\$ )?python train\.py ([^#\n]*?) *(?:#.*)?$", README, re.MULTILINE)))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def values(override: Override) -> list[str]:
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        return [f"{key}={value.start:g}", f"{key}={value.end:g}"]
    if override.is_sweep_override():
        return [f"{key}={text}" for text in override.sweep_string_iterator()]
    return [f"{key}={override.get_value_element_as_str()}"]


@pytest.mark.parametrize("command", [c for c in COMMANDS if "latent_dmi" not in c and "transformer" not in c])
def test_every_command_composes(command: str) -> None:
    overrides = [word for word in shlex.split(command) if not word.startswith("-")]
    # A sweep composes if each of its values does.
    swept = [values(override) for override in OverridesParser.create().parse_overrides(overrides)]
    for position in range(max(map(len, swept), default=1)):
        chosen = [values[min(position, len(values) - 1)] for values in swept if not values[0].startswith("hydra.")]
        checks.check(composed(*chosen))


TOOLS = sorted(set(re.findall(r"python scripts/(\w+)\.py ([^`#\n]*run=[^`#\n]*)", README)))


@pytest.mark.parametrize(("name", "words"), TOOLS)
def test_every_tools_command_is_understood(name: str, words: str) -> None:
    main = runpy.run_path(str(ROOT / "scripts" / f"{name}.py"))["main"]
    parse(inspect.signature(main).parameters["options"].annotation, shlex.split(words))


def test_the_table_of_tools_lists_all_of_them() -> None:
    listed = set(re.findall(r"^\| `python scripts/(\w+)\.py", README, re.MULTILINE))
    assert listed == {path.stem for path in (ROOT / "scripts").glob("*.py")} - {"benchmark", "notebook"}


def test_pictures_are_small() -> None:
    for path in (ROOT / "docs").iterdir():
        assert path.stat().st_size < 300_000, path.name


def test_the_table_of_groups_lists_every_choice_and_no_other() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", README, re.MULTILINE))
    listed = {f"{group}={choice}" for group, choices in table.items() for choice in re.findall(r"`(\w+)`", choices)}
    assert listed == set(CHOICES)


def test_the_two_commands_for_a_fresh_machine() -> None:
    installing = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("pip install")]
    assert len(installing) == 2
    assert installing[0].endswith("python train.py experiment=quickstart") and installing[1].endswith("pytest")


def test_links_and_pictures_are_there() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_notebooks_code_runs(trained: Path) -> None:
    using = [block for block in blocks("python") if "vae.encode" in block]
    assert len(using) == 2
    code = re.sub(r'load_run\(".*"\)', f'load_run("{trained}/mlp")', "".join(using))
    names = {"x": open_run(trained / "mlp").data().test_split[0][:10] / 255}
    exec(code, names)
    assert names["rows"].shape == (5, 9, 1, 28, 28) and names["images"].shape == (10, 1, 28, 28)


def test_a_model_can_be_added_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = next(block for block in blocks("python") if "class Wide" in block)
    node = OmegaConf.create(next(block for block in blocks("yaml") if "Wide" in block))
    name = node["_target_"].rpartition(".")[0]
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(code.replace("class Wide(Network):", f"__name__ = {name!r}\nclass Wide(Network):"), module.__dict__)
    cfg = composed("data=digits", "max_epochs=1", "accelerator=cpu", "callbacks=none")
    cfg.model = OmegaConf.merge(node, {"width": 30})
    assert train(cfg, tmp_path)["parameters"] == 784 * 30 + 30 + 30 * 40 + 40 + 20 * 30 + 30 + 30 * 784 + 784
    cfg.model.width = "abc"
    with pytest.raises(Exception, match=r"model.width=abc"):
        train(cfg, tmp_path / "other")
