"""The page of a report: that all of it is there, right, and safe to open."""

import base64
import hashlib
import json
import math
import re
import time
from pathlib import Path
from urllib.parse import unquote

import pytest

from mnist_vae.sweeps.report import write_report
from tests.sweeps.report.helpers import Page
from tests.synthetic import make_failure, make_plan, make_run

NASTY = "<script>alert('x')</script> & \"q\" \N{SNOWMAN} {{ 7*7 }}"


def test_the_page_has_ranks_means_over_seeds_and_every_job(sweep: Path) -> None:
    path = write_report(sweep)
    assert path == sweep / "report.html"
    page = Page(path)
    assert "7 jobs: 4 complete, 1 failed, 1 unfinished, 1 waiting; 25 s of training." in page.text
    configurations, runs, others = page.tables
    minus = "\N{MINUS SIGN}"
    assert [row[:4] for row in configurations[1:]] == [
        ["1", "1", "2", f"{minus}100.00 ± 1.41"],
        ["2", "4", "2", f"{minus}109.25 ± 0.35"],
    ]
    assert [row[0] for row in runs] == ["rank", "1", "1", "2", "2"]
    assert [row[:3] for row in others[1:]] == [
        ["beta=8,seed=0", "unfinished", "2 of 4"],
        ["beta=16,seed=0", "waiting", "0"],
    ]
    assert "it broke." in page.text and "Traceback: line 3" in page.text and "details" in dict(page.tags)
    assert "best beta=1 val ELBO" in page.text and "The pictures are of seed 0." in page.text
    assert "on validation images only; test metrics are for the record." in page.text


def test_the_page_needs_nothing_but_itself(sweep: Path) -> None:
    page = Page(write_report(sweep))
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", page.html)
    for tag, attribute in (("img", "src"), ("link", "href")):
        assert all(address.startswith("data:") for address in page.all(tag, attribute))
    assert page.all("script", "src") == page.all("img", "srcset") == []


def test_a_browser_may_run_the_pages_own_scripts_alone_and_connect_to_nothing(sweep: Path) -> None:
    page = Page(write_report(sweep))
    (policy,) = page.all("meta", "http-equiv")
    assert policy == "Content-Security-Policy"
    rules = dict(rule.split(" ", 1) for rule in page.all("meta", "content")[0].split("; "))
    digests = [hashlib.sha256(script.encode()).digest() for script in page.scripts]
    assert rules["script-src"].split() == [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data: blob:" and "connect-src" not in rules


def test_plotly_is_in_the_page_once_and_only_if_there_are_charts(sweep: Path, tmp_path: Path) -> None:
    path = write_report(sweep)
    assert path.read_text().count("plotly.js v") == 1 and len(Page(path).charts) == 3
    (tmp_path / "planned").mkdir()
    make_plan(tmp_path / "planned", "beta=1")
    path = write_report(tmp_path / "planned")
    page = Page(path)
    assert not page.has_plotly and page.charts == [] and path.stat().st_size < 50_000


def test_each_chart_has_a_picture_for_print_and_without_javascript(sweep: Path) -> None:
    page = Page(write_report(sweep))
    figures = page.html.split('<figure class="chart">')[1:]
    assert len(figures) == len(page.charts)
    for figure in figures:
        assert figure.index('class="interactive') < figure.index('class="static"><img src="data:image/png;base64,')


def test_points_lead_to_the_rows_of_their_runs(sweep: Path) -> None:
    page = Page(write_report(sweep))
    rows = {attributes["id"] for tag, attributes in page.tags if tag == "tr" and "id" in attributes}
    assert len(rows) == 4 + 2  # complete, and unfinished or waiting
    plane, effects, curves = page.charts
    assert {trace["uid"] for trace in curves["data"] if "uid" in trace} < rows
    assert {trace["uid"] for trace in plane["data"] if "uid" in trace} < rows
    assert set(effects["data"][0]["customdata"]) < rows


def test_a_sweep_that_runs_has_the_curves_of_its_jobs(tmp_path: Path) -> None:
    for beta in (1, 2):
        make_run(tmp_path / str(beta), beta=beta)
    page = Page(write_report(tmp_path))
    assert "No run is complete yet." in page.text and "Learning curves" in page.text
    (curves,) = page.charts
    assert [trace["y"] for trace in curves["data"]] == [[-150, -140]] * 2


def test_curves_of_different_data_are_in_charts_of_their_own(tmp_path: Path) -> None:
    for data in ("mnist", "digits"):
        make_run(tmp_path / data, -100.0, data=data)
    make_run(tmp_path / "diverged", -1e33)
    page = Page(write_report(tmp_path))
    assert [len(chart["data"]) for chart in page.charts] == [1, 1] and page.text.count("click on a value") == 1


ATTACKS = ["</script><script>alert(1)</script>", "<b>bold</b>", "%{x}", "<!--<script>", "$x_{", "a\u2028b"]
TEMPLATES = ("hovertemplate", "texttemplate", "tickformat")


def test_a_strangers_text_stays_text_in_charts(tmp_path: Path) -> None:
    """It can't end the script that holds the data, is no tag to plotly.js, and stands in no template of it."""
    for place, attack in enumerate(ATTACKS):
        run = make_run(tmp_path / f"{place} {attack.replace('/', '')}", -100.0 - place)
        config = run / ".hydra" / "config.yaml"
        config.write_text(
            config.read_text() + f"{json.dumps(attack)}: {json.dumps(attack)}\nnote: {json.dumps(attack)}\n"
        )
        (run / ".hydra" / "overrides.yaml").write_text(json.dumps([f"note={attack}", f"{attack}={attack}"]))
        (run / "metrics.csv").write_text(f'epoch,val/elbo,"val/{attack}"\n1,-150,1\n2,-140,2\n')
    page = Page(write_report(tmp_path))
    assert len(page.scripts) == 2 and len(page.charts) == 3
    assert "alert(1)" in page.text and "<script>alert" not in page.html and "<!--<script>" not in page.html
    found = [(key, value) for chart in page.charts for key, value in strings(chart)]
    assert sum("&lt;b&gt;bold&lt;/b&gt;" in value for _, value in found) > 5
    own = {"<b>val ELBO</b>", "<b>test ELBO</b>", "<b>reconstruction</b>", "<b>KL</b>", "<b>active units</b>"}
    assert not [value for key, value in found if "<" in value and value not in own and key not in TEMPLATES]
    assert {value for key, value in found if key in TEMPLATES} == {
        "%{fullData.text}<br>rate %{x:.2f}, distortion %{y:.2f}<extra></extra>",
        "%{fullData.text}<br>epoch %{x}: %{y:.5g}<extra></extra>",
        "%{text}<br>%{y:.5g}<extra></extra>",
        "mean %{y:.5g}<extra></extra>",
    }


def strings(node: object, key: str = "") -> list[tuple[str, str]]:
    """All strings within JSON, each with the name of what holds it."""
    if isinstance(node, dict):
        return [found for name, value in node.items() for found in strings(value, name)]
    if isinstance(node, list):
        return [found for value in node for found in strings(value, key)]
    return [(key, node)] if isinstance(node, str) else []


def test_a_wide_table_has_a_hint_which_only_the_script_shows(sweep: Path) -> None:
    page = Page(write_report(sweep))
    hints = [place for place, (tag, attributes) in enumerate(page.tags) if tag == "p" and "hidden" in attributes]
    assert len(hints) == len(page.tables)
    assert all(page.tags[place + 1][1].get("class") == "scroll" for place in hints)
    assert "target.previousElementSibling.hidden = target.scrollWidth <= target.clientWidth" in page.scripts[-1]


def test_every_picture_of_a_run_has_a_dark_shade(runs: Path) -> None:
    page = Page(write_report(runs))
    light = [address for address in page.all("img", "src") if address.startswith("data:image/jpeg")]
    dark = page.all("source", "srcset")
    assert len(light) == len(dark) > 0 and not set(light) & set(dark)
    assert set(page.all("source", "media")) == {"screen and (prefers-color-scheme: dark)"}
    assert all(address.startswith("data:image/jpeg") and " " not in address for address in dark)


def test_tables_can_be_sorted_by_click_and_by_keyboard(sweep: Path) -> None:
    page = Page(write_report(sweep))
    sortable = [a for tag, a in page.tags if tag == "th" and a.get("aria-sort") == "none"]
    assert len(sortable) == len(page.all("button", "type")) > 20 and all(a["scope"] == "col" for a in sortable)
    keys = [a["data-key"] or "" for tag, a in page.tags if tag == "td"]
    assert {"-100.0", "-110.5"} <= set(keys) and not any("\N{MINUS SIGN}" in key for key in keys)


def test_names_and_errors_are_escaped(tmp_path: Path) -> None:
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
    assert page.text.count("No run is called best: there is only one configuration.") == 1
    pictures = [address for address in page.all("img", "src") if address.startswith("data:image/jpeg")]
    assert len(pictures) == 4 and len(page.html) < 2e6
    assert "./mlp/figures/curves.png" in page.all("a", "href")
    one = Page(write_report(runs / "mlp"))
    assert "1 job: 1 complete" in one.text and one.tables[0][1][1] == "mlp" and "./" in one.all("a", "href")


@pytest.mark.parametrize("value", [None, math.nan, "text", "absent"])
def test_metrics_may_be_missing_or_no_numbers(sweep: Path, value: object) -> None:
    file = sweep / "beta=1,seed=0" / "metrics.json"
    bad = dict.fromkeys(("test/kl", "test/active_units", "train_seconds", "parameters"), value)
    metrics = json.loads(file.read_text()) | bad
    file.write_text(json.dumps({name: value for name, value in metrics.items() if value != "absent"}))
    page = Page(write_report(sweep))
    assert page.tables[1][1][0] == "1" and page.tables[1][1][7:9] == ["\N{EN DASH}"] * 2


def test_nothing_complete_and_everything_failed(tmp_path: Path) -> None:
    make_plan(tmp_path, "beta=1", "beta=2")
    page = Page(write_report(tmp_path))
    assert "No run is complete yet." in page.text and "2 jobs: 2 waiting; 0.0 s of training" in page.text
    for name in ("beta=1", "beta=2"):
        make_failure(tmp_path / name, "no.")
    page = Page(write_report(tmp_path))
    assert "2 jobs: 2 failed" in page.text and page.tables == []


def test_runs_on_different_data_are_ranked_apart(tmp_path: Path) -> None:
    for place, data in enumerate(("mnist", "mnist", "digits", "digits")):
        make_run(tmp_path / str(place), -100.0 - place, data=data, latent_dim=2 + place)
    page = Page(write_report(tmp_path))
    first, second = page.tables
    assert [row[0] for row in first] == [row[0] for row in second] == ["rank", "1", "2"]


def test_runs_that_did_not_learn_have_a_section_of_their_own(tmp_path: Path) -> None:
    make_run(tmp_path / "a", -100.0, beta=1)
    make_run(tmp_path / "b", -3.639e33, beta=2)
    page = Page(write_report(tmp_path))
    runs, apart = page.tables
    assert (
        [row[0] for row in runs] == ["rank", "1"] and "1 run, 1 set apart" in page.text and "best beta=1" in page.text
    )
    assert [row[:3] for row in apart[1:]] == [
        ["beta=2", "val/elbo is below \N{MINUS SIGN}10,000,000", "\N{MINUS SIGN}3.639e+33"]
    ]
    assert "10 times (543 nats + |ELBO of the best|) below the best" in page.text
    for run in ("a", "b"):
        make_run(tmp_path / "nan" / run, math.nan, beta=ord(run))
    assert "All complete runs are set apart." in Page(write_report(tmp_path / "nan")).text


def test_no_interpolation_in_a_strangers_folder_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In JSON and YAML the dollar sign can be written as an escape, so the files themselves have no `${`."""
    monkeypatch.setenv("SECRET", "the secret")
    escaped, literal = r"\u0024{oc.env:SECRET}", "${oc.env:SECRET}"
    for index, name in enumerate(("a", "b")):
        run = make_run(tmp_path / name, -100.0, latent_dim=index + 1)
        metrics = (run / "metrics.json").read_text()
        (run / "metrics.json").write_text(metrics.replace("}", f', "remark": "{escaped}"}}'))
        hydra = run / ".hydra"
        (hydra / "overrides.yaml").write_text(f'- "x{index}={escaped}"\n- "latent_dim={index}"\n')
        choices = f'{{hydra: {{runtime: {{choices: {{model: "{escaped}{index}"}}}}}}}}'
        (hydra / "hydra.yaml").write_text(choices)
    config = make_run(tmp_path / "c", -100.0) / ".hydra" / "config.yaml"
    config.write_text(config.read_text() + 'note: "\\x24{oc.env:SECRET}"\n')
    make_failure(tmp_path / "d", "x")
    (tmp_path / "d" / "failed.json").write_text(f'{{"error": "{escaped}", "overrides": ["lr={escaped}"]}}')
    nested = [rf'{key}="{dollar}{{oc.env:SECRET}}"' for key, dollar in (("lr", r"\x24"), ("beta", r"\u0024"))]
    plan = {"e": [f"beta={literal}", f"prior=[{literal},1]"], "f": nested}
    (tmp_path / "sweep.json").write_text(json.dumps({"jobs": plan}))
    page = Page(write_report(tmp_path))
    summary = (tmp_path / "summary.csv").read_text()
    assert "the secret" not in page.html + summary
    assert summary.count(literal) >= 8 and literal in page.text


def test_texts_and_numbers_of_any_size_are_reported(tmp_path: Path) -> None:
    for index, setting in enumerate(("\ud800", "$x_{", "n" * 5000, 10**30, 1e308, float("nan"), [1, [2]])):
        run = make_run(tmp_path / str(index), -100.0 - index)
        metrics = json.loads((run / "metrics.json").read_text())
        huge = {"test/kl": 1e308 * (-1) ** index, "train_seconds": 1e300, "parameters": -1e9}
        (run / "metrics.json").write_text(json.dumps(metrics | huge))
        config = run / ".hydra" / "config.yaml"
        config.write_text(config.read_text() + f"{'k' * 500}: {json.dumps(setting)}\n")
    make_plan(tmp_path, "n" * 5000)
    page = Page(write_report(tmp_path))
    assert "File name too long" in page.text
    for table in page.tables:
        assert all(len(cell) <= 200 for row in table for cell in row if not cell.startswith("kkk"))


def test_three_hundred_runs_are_reported_in_seconds_and_a_small_file(tmp_path: Path) -> None:
    for index in range(300):
        make_run(tmp_path / str(index), -100.0 - index / 7, 5 + index % 13, beta=index % 6, seed=index // 6)
    start = time.process_time()
    path = write_report(tmp_path)
    assert time.process_time() - start < 10 and path.stat().st_size < 8e6
    assert len(Page(path).tables[1]) == 301
