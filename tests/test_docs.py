"""The commands, tables, links and code of README.md and docs/*.md are valid."""

import importlib
import inspect
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig, OmegaConf, open_dict

import mnist_vae
from mnist_vae.cli.options import parse
from mnist_vae.config import checks
from mnist_vae.config.compose import compose_run
from mnist_vae.config.instantiate import locate
from mnist_vae.runs.fitted_priors import DENSITIES
from mnist_vae.runs.load import open_run
from mnist_vae.training.trainer import check_trainer
from mnist_vae.utils.errors import SettingsError
from tests.config.test_checks import CHOICES
from tests.conftest import ROOT

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))}
README = PAGES["README.md"]
MISTAKES = ("latent_dmi=16", "model=transformer")  # their error messages are shown
WITH_VALUE = ("--cfg", "-p", "--package", "--config-path", "--config-name", "--config-dir")


class Block(NamedTuple):
    """A fenced block: the page it is on, its language, its text, and what comes before it."""

    page: str
    language: str
    text: str
    before: str


def blocks(*languages: str) -> Iterator[Block]:
    for page, text in PAGES.items():
        for match in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            if match[1] in languages:
                yield Block(page, match[1], match[2], text[: match.start()])


def commands(script: str) -> list[str]:
    """The arguments of each command `python <script> …`, in blocks and between backticks."""
    call = rf"(?:\w+=\S+ )*{script if script == 'mnist-vae' else f'python {script}'}(?![\w.-])"
    found = {
        arguments
        for block in blocks("bash", "")
        for arguments in re.findall(rf"^(?:\$ |.*&& )?{call}(.*)", block.text, re.MULTILINE)
    }
    for text in PAGES.values():
        found |= set(re.findall(rf"`{call}([^`\n]*)`", text))
    return sorted({re.sub(r"\s+#.*", "", arguments).strip() for arguments in found})


def overrides_of(command: str) -> list[str]:
    words = shlex.split(command)
    pairs = zip(["", *words], words, strict=False)
    return [word for before, word in pairs if not word.startswith("-") and before not in WITH_VALUE]


def values(override: Override) -> list[str]:
    key, value = override.input_line.partition("=")[0], override.value()
    if isinstance(value, IntervalSweep):
        return [f"{key}={value.start:g}", f"{key}={value.end:g}"]
    if override.is_sweep_override():
        return [f"{key}={text}" for text in override.sweep_string_iterator()]
    return [str(override.input_line)]


def composed(overrides: list[str], configs: Path = ROOT / "configs") -> DictConfig:
    with initialize_config_dir(str(configs), version_base="1.3"):
        cfg = compose("train", overrides, return_hydra_config=True)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


TRAIN = [command for command in commands(r"train\.py") if "--config-path" not in command]


@pytest.mark.parametrize("command", [c for c in TRAIN if not {*MISTAKES} & set(c.split()) and "$(" not in c])
def test_every_training_command_composes(command: str) -> None:
    swept = [values(override) for override in OverridesParser.create().parse_overrides(overrides_of(command))]
    # A sweep composes if each of its values does.
    for position in range(max(map(len, swept), default=1)):
        cfg = composed([some[min(position, len(some) - 1)] for some in swept])
        checks.check(cfg)
        check_trainer(cfg)
        for group in ("callbacks", "logger"):
            for name, node in cfg[group].items():
                locate(f"{group}.{name}", node)


@pytest.mark.parametrize("command", [c for c in commands(r"train\.py") if "--config-path" in c])
def test_a_runs_own_configuration_composes(command: str, trained: Path) -> None:
    words = shlex.split(command)
    assert words[words.index("--config-path") + 1].endswith("/.hydra")
    with initialize_config_dir(str(trained / "mlp" / ".hydra"), version_base="1.3"):
        compose(words[words.index("--config-name") + 1], overrides_of(command), return_hydra_config=True)


def test_there_are_commands() -> None:
    assert len(TRAIN) > 50 and "" in TRAIN and "debug=fast_dev_run" in TRAIN
    assert [c for c in commands(r"scripts/evaluate\.py") if "nll.samples" in c]


SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))
TOOLS = [(name, c) for name in SCRIPTS for c in commands(rf"scripts/{name}\.py") if name not in ("sbatch", "notebook")]


@pytest.mark.parametrize(("name", "words"), TOOLS)
def test_every_tools_command_is_understood(name: str, words: str) -> None:
    where = f"scripts.{name}" if name in ("benchmark", "record_explorer") else f"mnist_vae.cli.commands.{name}"
    main = importlib.import_module(where).main
    parse(inspect.signature(main).parameters["options"].annotation, shlex.split(words))


@pytest.mark.parametrize("words", commands(r"scripts/sbatch\.py"))
def test_what_would_be_submitted_composes(words: str) -> None:
    swept = [values(override) for override in OverridesParser.create().parse_overrides(shlex.split(words))]
    composed(["launcher=slurm", *(some[0] for some in swept)])


@pytest.mark.parametrize("words", commands(r"scripts/notebook\.py"))
def test_the_notebooks_options_are_known(words: str) -> None:
    assert {word.partition("=")[0] for word in shlex.split(words)} <= {"seeds", "epochs", "root"}


def test_the_table_of_tools_lists_all_of_them() -> None:
    listed = set(re.findall(r"^\| `python scripts/(\w+)\.py", PAGES["docs/tools.md"], re.MULTILINE))
    assert listed == set(SCRIPTS) - {"benchmark", "notebook", "record_explorer"}


def test_the_table_of_groups_lists_every_choice_and_no_other() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", README, re.MULTILINE))
    listed = {f"{group}={choice}" for group, choices in table.items() for choice in re.findall(r"`(\w+)`", choices)}
    assert listed == set(CHOICES)


def test_choices_named_in_the_text_exist() -> None:
    added = {f"{example.group}={example.choice}" for example in EXAMPLES.values()}
    added |= {f"prior={density}" for density in DENSITIES}  # of the tools
    groups = {choice.partition("=")[0] for choice in CHOICES}
    for page, text in PAGES.items():
        for words in re.findall(r"`([^`\n]+)`", text):
            for group, choice in re.findall(r"(?<![\w.+/])(\w+)=(\w+)(?![\w,./])", words):
                if group in groups and f"{group}={choice}" not in MISTAKES:
                    assert f"{group}={choice}" in {*CHOICES, *added}, f"{page}: {words}"


def test_the_table_of_the_trainer_has_every_key() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", PAGES["docs/trainer.md"], re.MULTILINE)
    listed = {key for row in rows for key in re.findall(r"`(?:trainer\.|…)(\w+)`", row)}
    assert listed == set(OmegaConf.load(ROOT / "configs" / "trainer" / "default.yaml"))


def test_the_two_commands_for_a_fresh_machine() -> None:
    installing = [
        line for block in blocks("bash") for line in block.text.splitlines() if line.startswith("pip install")
    ]
    assert len(installing) == 2
    assert installing[0].endswith("python train.py experiment=quickstart") and installing[1].endswith("pytest")
    assert all(line in README for line in installing)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200
    assert all(len(line) <= 120 for line in README.splitlines() if line[:1] not in ("|", "!"))


def anchors(page: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


LINKS = [(page, target) for page, text in PAGES.items() for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text)]


@pytest.mark.parametrize(("page", "target"), sorted(set(LINKS)))
def test_links_and_pictures_are_there(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    file = (ROOT / page).parent / path if path else ROOT / page
    assert file.exists()
    if anchor:
        assert anchor in anchors(file.read_text())


def test_every_page_is_linked_and_every_picture_is_used() -> None:
    targets = {((ROOT / page).parent / target.partition("#")[0]).resolve() for page, target in LINKS}
    assert set((ROOT / "docs").iterdir()) <= targets


def test_pictures_are_small() -> None:
    for path in (ROOT / "docs").iterdir():
        assert path.stat().st_size < (1_000_000 if path.suffix == ".gif" else 300_000), path.name


def test_the_code_that_formulas_refer_to_is_there() -> None:
    theory = PAGES["docs/theory.md"]
    references = re.findall(r"((?:`[\w.]+`,\s)*`[\w.]+`)\sin\s\[[\w.]+\]\(([\w./]+\.py)\)", theory)
    assert len(references) > 12
    for names, file in references:
        code = (ROOT / "docs" / file).read_text()
        for name in re.findall(r"`([\w.]+)`", names):
            for part in name.split("."):
                assert re.search(rf"(?:def|class) {part}\b", code), f"{name} in {file}"


def test_the_order_of_imports_is_the_one_that_is_tested() -> None:
    from tests.test_architecture import ORDER

    assert " < ".join(ORDER) in PAGES["docs/architecture.md"]
    assert re.findall(r"^\| \[(\w+)\]", PAGES["docs/architecture.md"], re.MULTILINE) == ORDER


ELSEWHERE = ("docs/explorer.md", "docs/extending.md", "docs/python.md")  # has tests of its own
RUNNABLE = [block for block in blocks("python") if block.page not in ELSEWHERE]


@pytest.mark.parametrize("block", RUNNABLE, ids=[block.page for block in RUNNABLE])
def test_code_on_a_run_runs(block: Block, trained: Path) -> None:
    code = re.sub(r'"outputs/[^"]*?(/checkpoints/best.ckpt)?"', rf'"{trained}/mlp\1"', block.text)
    names = {"x": open_run(trained / "mlp").data().test_split[0][:10] / 255}
    exec(code, names)
    assert names.get("images", names.get("rows")).isfinite().all()
    assert names.get("images", names.get("rows")).shape[-3:] == (1, 28, 28)


def test_the_page_on_python_runs(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, "outputs/sweeps/mine")
    names: dict[str, Any] = {}
    for block in blocks("python"):
        if block.page == "docs/python.md":
            exec(block.text.replace('"max_epochs=2"', '"max_epochs=1", "data=digits", "model.channels=[4,8]"'), names)
    assert names["images"].shape == (16, 1, 28, 28) and len(names["frame"]) == 3


class Example(NamedTuple):
    """A part that docs/extending.md adds: where its code and its YAML go, and both of them."""

    module: str
    code: str
    group: str
    choice: str
    yaml: str


def examples() -> list[Example]:
    found = []
    pairs = [
        block
        for block in blocks("python", "yaml")
        if block.page == "docs/extending.md" and "## A model" in block.before
    ]
    for code, config in zip(pairs[::2], pairs[1::2], strict=True):
        assert (code.language, config.language) == ("python", "yaml")
        (file,) = re.findall(r"`my_vae/(\w+)\.py`:\n+$", code.before)
        ((group, choice),) = re.findall(r"`conf/(\w+)/(\w+)\.yaml`:\n+$", config.before)
        found.append(Example(file, code.text, group, choice, config.text))
    return found


EXAMPLES = {example.group: example for example in examples()}


@pytest.fixture(scope="session")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package `my_vae` and its `conf`, of all examples."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "my_vae").mkdir()
    for example in EXAMPLES.values():
        (folder / "my_vae" / f"{example.module}.py").write_text(example.code)
        group = folder / "conf" / example.group
        group.mkdir(parents=True)
        (group / f"{example.choice}.yaml").write_text(example.yaml)
    return folder


SMALL = ["data=digits", "latent_dim=3", "max_epochs=1", "accelerator=cpu", "callbacks=none", "logger=none"]


def test_every_kind_of_part_has_an_example() -> None:
    assert list(EXAMPLES) == ["model", "objective", "prior", "likelihood", "data", "callbacks", "logger"]


@pytest.mark.parametrize("command", [c for c in commands("mnist-vae") if c])
def test_every_command_on_the_examples_composes(command: str, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(mine))
    swept = [values(override) for override in OverridesParser.create().parse_overrides(overrides_of(command))]
    for position in range(max(map(len, swept))):
        compose_run([some[min(position, len(some) - 1)] for some in swept], config_dir=mine / "conf")


@pytest.mark.parametrize("group", EXAMPLES)
def test_a_part_can_be_added_as_described(
    group: str, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(mine))
    words = [word for word in SMALL if word.partition("=")[0] != group]
    run = mnist_vae.train([*words, f"{group}={EXAMPLES[group].choice}"], tmp_path / "run", config_dir=mine / "conf")
    assert run.vae.sample(2).shape == (2, 1, 28, 28) and run.data().image_shape == (1, 28, 28)
    if group in ("model", "prior", "likelihood"):
        with pytest.raises(SettingsError, match=r"allow its package by trust=my_vae"):
            mnist_vae.load_run(tmp_path / "run")
