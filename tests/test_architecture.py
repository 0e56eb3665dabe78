"""Imports go one way, from a package to those on its left; the mathematics imports neither Lightning nor Hydra.

Each source module has its tests at the same path below tests/, with `test_` before its name.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ORDER = [
    "utils",
    "models",
    "objectives",
    "data",
    "config",
    "runs",
    "analysis",
    "figures",
    "training",
    "sweeps",
    "explorer",
    "cli",
]
PACKAGE = Path(__file__).parents[1] / "src" / "mnist_vae"
MATHEMATICS = ("utils", "models", "objectives", "analysis", "figures")
FRAMEWORKS = {"pytorch_lightning", "lightning", "hydra", "omegaconf"}
HEAVY = {"torch", "pytorch_lightning", "torchvision", "matplotlib", "sklearn"}
TESTS = Path(__file__).parent
# Tests of several modules together, or of a whole run.
INTEGRATION = {
    "explorer/test_browser.py",
    "training/test_fidelity.py",
    "training/test_resume.py",
    "sweeps/test_launchers.py",
}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, as a dotted path, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import, which this test does not resolve"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def package(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_package_imports_only_packages_to_its_left(path: Path) -> None:
    here = ORDER.index(package(path))
    for module in imports(path):
        top, *rest = module.split(".")
        if top == "mnist_vae" and rest and rest[0] in ORDER:
            assert ORDER.index(rest[0]) <= here, f"{name(path)} imports {module}"


@pytest.mark.parametrize("path", [path for path in FILES if package(path) in MATHEMATICS], ids=name)
def test_the_mathematics_imports_neither_lightning_nor_hydra(path: Path) -> None:
    assert not {module.partition(".")[0] for module in imports(path)} & FRAMEWORKS


def test_every_package_is_in_the_order() -> None:
    assert {package(path) for path in FILES} == set(ORDER)


def test_the_command_line_imports_nothing_heavy() -> None:
    code = f"import sys, mnist_vae.cli.entry; print(sorted({HEAVY!r} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


# The commands are tested together, as a user calls them, by tests/cli/test_tools.py and tests/test_wheel.py.
MODULES = [path for path in FILES if path.name != "__init__.py" and path.parent.name != "commands"]
TEST_MODULES = sorted(path for top in ORDER for path in (TESTS / top).rglob("test_*.py"))


def below_tests(path: Path) -> str:
    return path.relative_to(TESTS).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_has_its_test_module(path: Path) -> None:
    tests = TESTS / path.relative_to(PACKAGE).with_name(f"test_{path.name}")
    assert tests.is_file(), f"{name(path)} has no {below_tests(tests)}"


@pytest.mark.parametrize(
    "path", [path for path in TEST_MODULES if below_tests(path) not in INTEGRATION], ids=below_tests
)
def test_every_test_module_has_its_module(path: Path) -> None:
    module = PACKAGE / path.relative_to(TESTS).with_name(path.name.removeprefix("test_"))
    package_itself = module.with_suffix("") / "__init__.py"  # such as sweeps/report
    assert module.is_file() or package_itself.is_file(), f"{below_tests(path)} tests no module of its name"


def test_the_exempt_test_modules_exist() -> None:
    assert {below_tests(path) for path in TEST_MODULES} >= INTEGRATION
