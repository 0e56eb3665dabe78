"""What charts have in common: text of anyone, numbers for JSON, colours by a setting."""

import json
import math
from typing import Any

import pytest

from mnist_vae.figures.colours import NAMES
from mnist_vae.figures.palette import sequential
from mnist_vae.sweeps.report.charts.chart import coloured, legend_of, log_ticks, numbers, text, values, varying
from mnist_vae.sweeps.results import read_sweep
from tests.synthetic import make_run


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("<b>&amp;</b>", "&lt;b&gt;&amp;amp;&lt;/b&gt;"),
        ("</script>", "&lt;/script&gt;"),
        ("a\nb\x1b\ud800", "a b\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
        ("n" * 300, "n" * 199 + "…"),
        ("<" * 300, "&lt;" * 199 + "…"),
    ],
)
def test_text_of_anyone_is_escaped_and_one_short_line(given: str, shown: str) -> None:
    assert text(given) == shown


def test_numbers_that_cannot_be_drawn_are_null() -> None:
    found = numbers([1.23456789, math.nan, -math.inf, 1e300, -2])
    assert found == [1.23457, None, None, None, -2] and json.dumps(found, allow_nan=False)


def test_the_seed_varies_only_where_nothing_else_does(tmp_path: Any) -> None:
    for beta, seed in ((1, 0), (2, 1)):
        make_run(tmp_path / str(beta), -100.0, beta=beta, seed=seed)
    jobs = read_sweep(tmp_path).jobs
    assert varying(jobs, ["seed", "beta"]) == ["beta"] and varying(jobs, ["seed"]) == ["seed"]
    assert varying(jobs, ["lr"]) == [] and values(jobs, "seed") == ["0", "1"] and values(jobs, "beta") == [1, 2]
    assert values(jobs, "absent") == ["\N{EN DASH}"] * 2


def traces(count: int) -> list[dict[str, Any]]:
    return [{"type": "scatter", "line": {"width": 1}} for _ in range(count)]


def test_traces_are_coloured_by_the_first_setting_and_a_menu_has_the_others() -> None:
    settings: dict[str, Any] = {"<model>": ["mlp", "conv", "mlp"], "beta": [4, 1, 2]}
    found, (menu,) = coloured(traces(3), settings, "line")
    assert [trace["line"]["color"] for trace in found] == [NAMES[0], NAMES[1], NAMES[0]]
    assert all(trace["line"]["width"] == 1 for trace in found)
    assert [trace["showlegend"] for trace in found] == [True, True, False]  # an entry per value
    assert [trace["legendgroup"] for trace in found] == ["mlp", "conv", "mlp"]
    assert [button["label"] for button in menu["buttons"]] == ["colour: &lt;model&gt;", "colour: beta"]
    update, layout, indices = menu["buttons"][1]["args"]
    assert update["line.color"] == [sequential([1, 0, 0.5])[place] for place in range(3)] and indices == [0, 1, 2]
    assert update["name"] == ["4", "1", "2"] and update["legendrank"] == [3, 1, 2]  # in the order of the numbers
    assert layout == {"legend.title.text": "beta"} and legend_of(settings)["title"]["text"] == "&lt;model&gt;"


def test_many_numbers_have_a_colour_bar() -> None:
    settings: dict[str, Any] = {"lr": [10.0**-place for place in range(10)], "model": ["mlp", "conv"] * 5}
    found, (menu,) = coloured(traces(10), settings, "line")
    *items, bar = found
    assert len(items) == 10 and bar["visible"] and bar["marker"]["colorbar"]["ticktext"][-1] == "0.1"
    assert (bar["marker"]["cmin"], bar["marker"]["cmax"]) == (-9, 0)
    assert not any(trace["showlegend"] for trace in items)
    by_model = menu["buttons"][1]["args"][0]
    assert by_model["visible"] == [True] * 10 + [False] and by_model["showlegend"] == [True] * 2 + [False] * 9


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (1, 100, ["1", "10", "100"]),
        (1.4e-4, 9.8e-3, ["3e-4", "1e-3", "3e-3"]),
        (1e-9, 1, ["1e-9", "1e-6", "1e-3", "1"]),
        (3.5, 4.5, []),
    ],
)
def test_ticks_of_a_logarithmic_scale_are_few_and_short(low: float, high: float, labels: list[str]) -> None:
    found = log_ticks(low, high, most=4)
    assert list(found.values()) == labels and [float(label) for label in labels] == pytest.approx(list(found))


def test_without_a_choice_there_is_no_menu() -> None:
    assert coloured(traces(2), {}, "line") == (traces(2), [])
    assert coloured(traces(2), {"beta": [1, 2]}, "line")[1] == []
