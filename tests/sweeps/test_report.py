"""The report of a sweep: that all of it is there, right, and safe to open."""

import csv
import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from mnist_vae.sweeps.report import write_report
from mnist_vae.sweeps.report.tables import overview
from mnist_vae.sweeps.report.text import duration, link, number, spread
from mnist_vae.sweeps.results import read_sweep
from mnist_vae.utils.errors import RunFolderError
from tests.conftest import ROOT, Done
from tests.synthetic import make_failure, make_plan, make_run

NASTY = "<script>alert('x')</script> & \"q\" \N{SNOWMAN} {{ 7*7 }}"


class Page(HTMLParser):
    """What a browser would make of a report, as far as the tests ask."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.words: list[str] = []
        self.inside: list[str] = []
        self.html = path.read_text()
        self.feed(self.html)
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in ("img", "meta", "link", "br"):
            self.inside.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag  # well nested

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] not in ("script", "style"):
            self.words.append(data)
            if {"td", "th"} & set(self.inside):
                self.tables[-1][-1][-1] += data

    def all(self, tag: str, attribute: str) -> list[str]:
        return [
            attributes[attribute] or "" for name, attributes in self.tags if name == tag and attribute in attributes
        ]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Four complete jobs of two settings and two seeds, and one of each other state."""
    top = tmp_path / "sweep"
    jobs = [(1, 0, -100.0), (1, 1, -102.0), (4, 0, -110.0), (4, 1, -110.5)]
    names = [f"beta={beta},seed={seed}" for beta, seed, _ in jobs]
    for name, (beta, seed, elbo) in zip(names, jobs, strict=True):
        make_run(top / name, elbo, beta=beta, seed=seed)
    make_run(top / "beta=8,seed=0", beta=8, seed=0)
    make_failure(top / "beta=9,seed=0", "it broke.", "Traceback: line 3", ["beta=9", "seed=0"])
    make_plan(top, *names, "beta=8,seed=0", "beta=9,seed=0", "beta=16,seed=0")
    return top


def test_the_page_ranks_averages_and_tells_of_every_job(sweep: Path) -> None:
    path = write_report(sweep)
    assert path == sweep / "report.html"
    page = Page(path)
    assert "7 jobs: 4 complete, 1 failed, 1 unfinished, 1 waiting; 25 s of training." in page.text
    ranking, seeds, others = page.tables
    assert [cell.strip() for cell in ranking[0]][:6] == ["rank", "files", "beta", "seed", "test ELBO", "reconstruction"]
    minus = "\N{MINUS SIGN}"
    assert [[row[0], *row[2:5]] for row in ranking[1:]] == [
        ["1", "1", "0", f"{minus}100.00"],
        ["2", "1", "1", f"{minus}102.00"],
        ["3", "4", "0", f"{minus}110.00"],
        ["4", "4", "1", f"{minus}110.50"],
    ]
    assert [row[:3] for row in seeds[1:]] == [
        ["1", "2", f"{minus}101.00 ± 1.41"],  # the square root of (1 + 1) / (2 - 1)
        ["4", "2", f"{minus}110.25 ± 0.35"],
    ]
    assert [row[:3] for row in others[1:]] == [
        ["beta=8,seed=0", "unfinished", "2 of 4"],
        ["beta=16,seed=0", "waiting", "0"],
    ]
    assert "it broke." in page.text and "Traceback: line 3" in page.text and "details" in dict(page.tags)
    assert "best beta=1, seed=0" in page.text


def test_summary_has_a_row_per_job(sweep: Path) -> None:
    write_report(sweep)
    with (sweep / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["complete"] * 4 + ["unfinished", "failed", "waiting"]
    assert float(rows[1]["test/elbo"]) == -102 and (rows[1]["beta"], rows[1]["seed"]) == ("1", "1")
    assert rows[5]["error"] == "it broke." and rows[5]["test/elbo"] == "" and rows[6]["beta"] == "16"


def test_the_page_needs_nothing_but_itself(sweep: Path) -> None:
    page = Page(write_report(sweep))
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", page.html)
    for tag, attribute in (("img", "src"), ("link", "href"), ("script", "src")):
        assert all(address.startswith("data:") for address in page.all(tag, attribute))


def test_tables_can_be_sorted_by_click_and_by_keyboard(sweep: Path) -> None:
    page = Page(write_report(sweep))
    sortable = [a for tag, a in page.tags if tag == "th" and a.get("aria-sort") == "none"]
    assert len(sortable) == len(page.all("button", "type")) > 20 and all(a["scope"] == "col" for a in sortable)
    keys = [a["data-key"] or "" for tag, a in page.tags if tag == "td"]
    assert {"-100.0", "-110.5"} <= set(keys) and not any("\N{MINUS SIGN}" in key for key in keys)


def test_names_and_errors_can_do_no_harm(tmp_path: Path) -> None:
    name = "a=<b>, c #5%&\"'?\N{SNOWMAN}"
    run = make_run(tmp_path / name, -100.0)
    (run / "figures").mkdir()
    (run / "figures" / "results.png").write_text("no picture")
    make_failure(tmp_path / "broken <i>", NASTY, NASTY, [f"x={NASTY}"])
    page = Page(write_report(tmp_path))
    assert "<script>alert" not in page.html and "<i>" not in page.html and "{{ 7*7 }}" in page.text
    assert page.text.count("<script>alert('x')</script>") == 2 and name in page.text
    addresses = [address for address in page.all("a", "href") if not address.startswith("#")]
    assert not any(character in address for address in addresses for character in "<>\"' #?&")
    assert f"./{name}/figures/results.png" in map(unquote, addresses)
    for address in addresses:
        assert (tmp_path / unquote(address)).exists(), address


def test_a_name_that_is_no_unicode_can_be_reported(tmp_path: Path) -> None:
    try:
        make_run(Path(f"{tmp_path}/\udcff"), -1.0)
    except OSError:
        pytest.skip("this file system takes only unicode names")
    assert "./%FF/" in Page(write_report(tmp_path)).all("a", "href")


def test_real_runs_are_reported_with_pictures(runs: Path) -> None:
    page = Page(write_report(runs))
    assert len(page.tables) == 2 and "no run is complete" not in page.text.lower()
    assert page.text.count("Samples from the prior") == 1  # conv is alone on its data: no best and worst
    pictures = [address for address in page.all("img", "src") if address.startswith("data:image/jpeg")]
    assert len(pictures) == 4 and len(page.html) < 2e6
    one = Page(write_report(runs / "mlp"))
    assert "1 job: 1 complete" in one.text and one.tables[0][1][2] == "mlp" and "./" in one.all("a", "href")


@pytest.mark.parametrize("value", [None, math.nan, "text", "absent"])
def test_metrics_may_be_missing_or_no_numbers(sweep: Path, value: object) -> None:
    file = sweep / "beta=1,seed=0" / "metrics.json"
    bad = dict.fromkeys(("test/kl", "test/active_units", "val/elbo", "train_seconds", "parameters"), value)
    metrics = json.loads(file.read_text()) | bad
    file.write_text(json.dumps({name: value for name, value in metrics.items() if value != "absent"}))
    page = Page(write_report(sweep))
    assert page.tables[0][1][0] == "1" and page.tables[0][1][6:9] == ["\N{EN DASH}"] * 3


def test_nothing_complete_and_everything_failed(tmp_path: Path) -> None:
    make_plan(tmp_path, "beta=1", "beta=2")
    page = Page(write_report(tmp_path))
    assert "No run is complete yet." in page.text and "2 jobs: 2 waiting; 0.0 s of training" in page.text
    for name in ("beta=1", "beta=2"):
        make_failure(tmp_path / name, "no.")
    page = Page(write_report(tmp_path))
    assert "2 jobs: 2 failed" in page.text and page.tables == []


def test_nothing_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="there is no run in it"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_runs_on_different_data_are_ranked_apart(tmp_path: Path) -> None:
    for place, data in enumerate(("mnist", "mnist", "digits")):
        make_run(tmp_path / str(place), -100.0 - place, data=data, latent_dim=2 + place)
    page = Page(write_report(tmp_path))
    first, second = page.tables
    assert [row[0] for row in first] == ["rank", "1", "2"] and [row[0] for row in second] == ["rank", "1"]
    assert overview(read_sweep(tmp_path)).count("test ELBO") == 2


def test_three_hundred_runs_are_reported_in_seconds_and_a_small_file(tmp_path: Path) -> None:
    for index in range(300):
        make_run(tmp_path / str(index), -100.0 - index / 7, 5 + index % 13, beta=index % 6, seed=index // 6)
    start = time.process_time()
    path = write_report(tmp_path)
    assert time.process_time() - start < 10 and path.stat().st_size < 2e6
    assert len(Page(path).tables[0]) == 301


def test_the_tool_prints_the_best_and_where_the_report_is(
    tool: Callable[..., Done], sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sweep.parent)
    done = tool("report", "sweep=sweep")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "mnist, binarize none, bernoulli likelihood"
    assert lines[2].split()[:4] == ["1", "1", "0", "\N{MINUS SIGN}100.00"]
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
def test_a_mistake_gets_one_sentence(
    tool: Callable[..., Done], words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    done = tool("report", *words)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and message in done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stdout == ""


def test_nothing_heavy_is_imported(sweep: Path) -> None:
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


def test_numbers_times_and_links_are_written_for_people(tmp_path: Path) -> None:
    minus, dash = "\N{MINUS SIGN}", "\N{EN DASH}"
    assert (number(-1234.567), number(math.nan), number(12345, 0)) == (f"{minus}1,234.57", dash, "12,345")
    assert (spread(-1.0, 0.25), spread(2.0, math.nan)) == (f"{minus}1.00 ± 0.25", "2.00")
    times = {0.44: "0.4 s", 42.3: "42 s", 59.96: "1 min 00 s", 200: "3 min 20 s", 7500: "2 h 05 min", math.nan: dash}
    assert {seconds: duration(seconds) for seconds in times} == times
    assert link(tmp_path / "a=1,b #%", tmp_path) == "./a%3D1%2Cb%20%23%25" and link(tmp_path, tmp_path) == "./"
