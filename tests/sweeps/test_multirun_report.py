"""The report when a multirun ends."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mnist_vae.sweeps.multirun_report import MOST_NAMES, MultirunReport
from tests.synthetic import make_failure, make_plan, make_run, make_sweep


def end(sweep: Path, fast_dev_run: bool = False) -> None:
    """End a multirun in this folder."""
    config = {"hydra": {"sweep": {"dir": str(sweep)}}, "trainer": {"fast_dev_run": fast_dev_run}}
    MultirunReport().on_multirun_end(OmegaConf.create(config))


def test_the_failed_jobs_are_named_and_end_the_process_with_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^error: 1 of 7 jobs failed: beta=9,seed=0$"):
        end(make_sweep(tmp_path))
    printed = capsys.readouterr().out
    assert "7 jobs: 4 complete, 1 failed" in printed and f"report   {tmp_path}/report.html" in printed
    assert (tmp_path / "report.html").exists() and (tmp_path / "summary.csv").exists()


def test_a_multirun_without_failures_ends_without_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "a", -100.0)
    end(tmp_path)
    assert "1 job: 1 complete" in capsys.readouterr().out


def test_a_message_names_only_so_many_failed_jobs(tmp_path: Path) -> None:
    for number in range(MOST_NAMES + 2):
        make_failure(tmp_path / f"{number:02d}", "no.")
    with pytest.raises(SystemExit) as stopped:
        end(tmp_path)
    assert str(stopped.value).startswith("error: 22 of 22 jobs failed: 00 · 01 · ")
    assert str(stopped.value).endswith(" · 19 · and 2 more, in the report")


def test_after_a_fast_dev_run_there_is_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_plan(tmp_path, "seed=0", "seed=1")
    end(tmp_path, fast_dev_run=True)
    assert "trainer.fast_dev_run: nothing was kept" in capsys.readouterr().out
    make_failure(tmp_path / "seed=1", "no.")
    with pytest.raises(SystemExit, match="1 of 2 jobs failed: seed=1"):
        end(tmp_path, fast_dev_run=True)
    assert not (tmp_path / "report.html").exists()


def test_a_report_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: the report could not be made: .*nowhere: there is no such folder"):
        end(tmp_path / "nowhere")
