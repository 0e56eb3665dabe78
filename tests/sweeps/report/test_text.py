import math
from pathlib import Path

from mnist_vae.sweeps.report.text import DASH, MINUS, duration, link, number, plural, spread


def test_numbers_have_a_minus_sign_and_groups_of_thousands() -> None:
    assert (number(-1234.567), number(math.nan), number(12345, 0)) == (f"{MINUS}1,234.57", DASH, "12,345")
    assert (spread(-1.0, 0.25), spread(2.0, math.nan)) == (f"{MINUS}1.00 ± 0.25", "2.00")
    assert (plural(1, "job"), plural(1200, "job")) == ("1 job", "1,200 jobs")


def test_durations_have_the_units_that_suit_them() -> None:
    times = {0.44: "0.4 s", 9.94: "9.9 s", 42.3: "42 s", 59.96: "1 min 00 s", 200: "3 min 20 s", 7500: "2 h 05 min"}
    assert {seconds: duration(seconds) for seconds in times} == times and duration(math.nan) == DASH


def test_links_are_relative_and_percent_encoded(tmp_path: Path) -> None:
    assert link(tmp_path / "a=1,b #%", tmp_path) == "./a%3D1%2Cb%20%23%25" and link(tmp_path, tmp_path) == "./"
