"""Progress of a sweep on the console, as read from the folders of its jobs."""

from pathlib import Path
from typing import Any

import pytest

from mnist_vae.runs.folder import RunFolder
from mnist_vae.sweeps import progress
from mnist_vae.sweeps.job import Job
from mnist_vae.sweeps.progress import Watch
from tests.fake_sweep import wait_until
from tests.synthetic import make_failure, make_run


class FakeBar:
    """In the place of tqdm: keeps what is printed, and every state of the bar."""

    lines: list[str]
    states: list[tuple[str, float]]

    def __init__(self, **options: Any) -> None:
        self.total, self.disable, self.initial, self.n = options["total"], False, 0, 0.0

    def set_description(self, text: str, refresh: bool) -> None:
        self.text = text

    def refresh(self) -> None:
        self.states.append((self.text, self.n))

    def close(self) -> None:
        self.refresh()

    @classmethod
    def write(cls, text: str) -> None:
        cls.lines.append(text)


@pytest.fixture
def bar(monkeypatch: pytest.MonkeyPatch) -> type[FakeBar]:
    FakeBar.lines, FakeBar.states = [], []
    monkeypatch.setattr(progress, "tqdm", FakeBar)
    monkeypatch.setattr(Watch, "EVERY", 0.01)
    return FakeBar


def job(sweep: Path, name: str) -> Job:
    return Job(name, f"label of {name}", [], [], RunFolder(sweep / name), epochs=4)


def test_a_line_is_printed_for_each_job_that_ends(tmp_path: Path, bar: type[FakeBar]) -> None:
    make_run(tmp_path / "before", -90.0)
    with Watch(tmp_path, 4) as watch:
        watch.add([job(tmp_path, name) for name in ("before", "a", "b", "c")])
        assert bar.lines == ["1 of 4 jobs are complete already"]
        make_run(tmp_path / "a", -100.0)
        wait_until(lambda: len(bar.lines) == 2)
        make_failure(tmp_path / "b", "it broke.")
        (make_run(tmp_path / "c", -100.0) / "metrics.json").write_text("{}")
    assert bar.lines[1:3] == [
        "[2/4] label of a   val ELBO \N{MINUS SIGN}99.000, test ELBO \N{MINUS SIGN}100.000, 2 epochs in 5 s",
        "[3/4] label of b   failed: it broke.",
    ]
    assert "[4/4] label of c   its metrics.json is damaged" in bar.lines[3] and len(bar.lines) == 4
    assert bar.states[-1] == ("3 done, 0 running, 1 failed", 4)


def test_the_bar_counts_the_epochs_of_running_jobs(tmp_path: Path, bar: type[FakeBar]) -> None:
    watched = job(tmp_path, "a")
    make_run(tmp_path / "a")  # two epochs of four
    with Watch(tmp_path, 2) as watch:
        watch.add([watched])
        mark = watched.mark(tmp_path)
        mark.parent.mkdir(parents=True)
        mark.touch()
        wait_until(lambda: ("0 done, 1 running, 0 failed", 0.5) in bar.states)


def test_a_job_that_leaves_nothing_is_counted_when_it_is_noted(tmp_path: Path, bar: type[FakeBar]) -> None:
    with Watch(tmp_path, 3) as watch:
        watch.count(1, "are from before")
        watch.add([tried := job(tmp_path, "a")])
        watch.note(tried, "ran without an error")
    assert bar.lines == ["1 of 3 jobs are from before", "label of a   ran without an error"]
    assert bar.states[-1] == ("2 done, 0 running, 0 failed", 2)
