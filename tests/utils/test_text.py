import math
from pathlib import Path

import pytest

from mnist_vae.utils.text import (
    DASH,
    MINUS,
    NO_TERMINAL,
    WIDEST,
    aligned,
    duration,
    link,
    number,
    plural,
    scores,
    shortened,
    spread,
    terminal_width,
)


def test_numbers_have_a_minus_sign_and_groups_of_thousands() -> None:
    assert (number(-1234.567), number(math.nan), number(12345, 0)) == (f"{MINUS}1,234.57", DASH, "12,345")
    assert (spread(-1.0, 0.25), spread(2.0, math.nan)) == (f"{MINUS}1.00 ± 0.25", "2.00")
    assert (plural(1, "job"), plural(1200, "job")) == ("1 job", "1,200 jobs")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-999_999.994, f"{MINUS}999,999.99"),
        (-3.639195e33, f"{MINUS}3.639e+33"),
        (-1e100, f"{MINUS}1.000e+100"),
        (math.inf, "inf"),
        (1.7e308, "1.700e+308"),
    ],
)
def test_no_number_is_wider_than_twelve_characters(value: float, text: str) -> None:
    assert number(value) == text and len(text) <= WIDEST == 12


def test_scores_are_those_that_there_are() -> None:
    assert (
        scores({"val/elbo": -1.0, "test/elbo": -2, "test/kl": 3.0}) == f"val ELBO {MINUS}1.000, test ELBO {MINUS}2.000"
    )
    assert scores({"test/elbo": -1e20}) == f"test ELBO {MINUS}1.000e+20" and scores({}) == ""


def test_text_of_a_stranger_is_one_printable_line() -> None:
    assert shortened("a\nb\x1b[31m\udcff", 80) == "a b\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}"
    assert shortened("n" * 5000, 10) == "n" * 9 + "…" and shortened("n" * 10, 10) == "n" * 10


def test_durations_have_the_units_that_suit_them() -> None:
    times = {0.44: "0.4 s", 9.94: "9.9 s", 42.3: "42 s", 59.96: "1 min 00 s", 200: "3 min 20 s", 7500: "2 h 05 min"}
    assert {seconds: duration(seconds) for seconds in times} == times and duration(math.nan) == DASH
    assert duration(math.inf) == DASH and len(duration(1e300)) < 20


def test_links_are_relative_and_percent_encoded(tmp_path: Path) -> None:
    assert link(tmp_path / "a=1,b #%", tmp_path) == "./a%3D1%2Cb%20%23%25" and link(tmp_path, tmp_path) == "./"


@pytest.mark.parametrize(("columns", "width"), [("73", 73), ("0", NO_TERMINAL), ("wide", NO_TERMINAL)])
def test_the_width_is_that_of_the_terminal(columns: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("sys.__stdout__", None)
    assert terminal_width() == width


@pytest.mark.parametrize("width", [14, 20, 31, 200])
def test_a_table_fits_the_width_and_loses_nothing(width: int) -> None:
    rows = [["run", *(f"metric-{column}" for column in range(5))], *([f"r{row}", *"abcde"] for row in range(3))]
    lines = aligned(rows, width, left=[0])
    assert max(map(len, lines)) <= width
    blocks = [block.splitlines() for block in "\n".join(lines).split("\n\n")]
    for place, row in enumerate(rows):
        words = [block[place].split() for block in blocks]
        assert {first for first, *_ in words} == {row[0]}
        assert [word for _, *rest in words for word in rest] == row[1:]
    assert len(blocks) == 1 or width < 50
