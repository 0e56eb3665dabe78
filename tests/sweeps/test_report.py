"""The report as a whole: its files, and the tool scripts/report.py."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mnist_vae.sweeps.report import write_report
from mnist_vae.sweeps.results import read_sweep
from mnist_vae.utils.errors import RunFolderError
from tests.conftest import ROOT, Done
from tests.synthetic import make_run, make_sweep


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return make_sweep(tmp_path / "sweep")


def test_the_page_and_the_table_are_written_into_the_sweeps_folder(tmp_path: Path) -> None:
    make_run(tmp_path / "a", -100.0)
    for given in (tmp_path, str(tmp_path), read_sweep(tmp_path)):
        for name in ("report.html", "summary.csv"):
            (tmp_path / name).unlink(missing_ok=True)
        assert write_report(given) == tmp_path / "report.html"
        assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
        assert (tmp_path / "summary.csv").read_text().startswith("job,state,")


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    make_run(tmp_path / "a", -100.0)
    (tmp_path / "report.html").mkdir()
    with pytest.raises(RunFolderError, match=r"report.html can't be written \(Is a directory\); free space"):
        write_report(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="there is no run in it"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_tool_prints_the_best_and_where_the_report_is(
    tool: Callable[..., Done], sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sweep.parent)
    done = tool("report", "sweep=sweep")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "mnist, binarize none, bernoulli likelihood"
    assert lines[2].split()[:4] == ["1", "1", "2", "\N{MINUS SIGN}100.00"]
    assert lines[-2:] == [
        "7 jobs: 4 complete, 1 failed, 1 unfinished, 1 waiting; 25 s of training",
        "report: sweep/report.html",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "sweep: it is not given, and is needed"),
        (["swep=x"], "swep: there is no such key; did you mean sweep?"),
        (["sweep=nowhere"], "nowhere: there is no such folder."),
        (["sweep=src"], "src: there is no run in it"),
    ],
)
def test_a_mistake_in_the_tools_options_gets_one_sentence(
    tool: Callable[..., Done], words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    done = tool("report", *words)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and message in done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stdout == ""


def test_the_tool_imports_nothing_heavy(sweep: Path) -> None:
    code = (
        f"import sys; sys.argv = ['report.py', {f'sweep={sweep}'!r}]\n"
        "import runpy; runpy.run_path('scripts/report.py', run_name='__main__')\n"
        "print(sorted({'torch', 'pytorch_lightning', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    done = subprocess.run(
        [sys.executable, "scripts/report.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "python scripts/report.py sweep=" in done.stdout and not done.stderr
