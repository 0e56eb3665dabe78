"""What is checked before a folder is made, and what a refused run leaves."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from mnist_vae.cli.start_checks import StartChecks
from mnist_vae.config import error_messages
from mnist_vae.utils.errors import SettingsError
from tests.conftest import ROOT, TINY, forked


def config(*words: str, mode: str = "RUN") -> DictConfig:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        cfg = compose("train", overrides=[*TINY, *words, f"hydra.mode={mode}"], return_hydra_config=True)
    OmegaConf.set_readonly(cfg, False)
    return cfg


@pytest.fixture
def sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(error_messages.SENTENCES, "1")


def end(checks: StartChecks, cfg: DictConfig, error: Exception | None = None) -> None:
    result = JobReturn(status=JobStatus.FAILED if error else JobStatus.COMPLETED)
    result.return_value = error
    checks.on_run_end(cfg, job_return=result)


MISTAKES = [
    ("latent_dim=0", "latent_dim=0: it must be 1 or more"),
    ("latent_dim=${latent_dim}", "latent_dim=${latent_dim}: the reference can't be resolved (Recursive"),
    ("model.hidden_dims=[${nope}]", "model.hidden_dims[0]=${nope}: the reference can't be resolved"),
    ("hydra.run.dir=", "hydra.run.dir: it is empty"),
    ("hydra.run.dir=${oc.env:NOPE}", "hydra.run.dir=${oc.env:NOPE}: the reference can't be resolved (Environment"),
    ("hydra.output_subdir=.hydra", "hydra.output_subdir=.hydra: the run itself writes .hydra"),
    ("model={}", "model={}: a mapping is merged"),
    ("init_from=nope", "init_from=nope: there is no such folder"),
    ("+nope=1", "nope: there is no such key"),
]


@pytest.mark.usefixtures("sentences")
@pytest.mark.parametrize(("word", "message"), MISTAKES, ids=[word for word, _ in MISTAKES])
def test_a_wrong_value_ends_the_process_with_a_sentence(word: str, message: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        StartChecks().on_run_start(config(word))
    assert str(stopped.value).startswith(f"error: {message}")


@pytest.mark.usefixtures("sentences")
@pytest.mark.parametrize(
    "word", ["hydra.sweep.dir=${nope}", "hydra.sweeper.params=${nope}", "hydra.output_subdir=.hydra"]
)
def test_what_the_sweep_itself_needs_is_checked_when_it_starts(word: str) -> None:
    with pytest.raises(SystemExit, match=r"^error: hydra"):
        StartChecks().on_multirun_start(config(word, mode="MULTIRUN"))


def test_the_jobs_of_a_sweep_are_not_checked_before_they_are_composed() -> None:
    StartChecks().on_multirun_start(config("latent_dim=${of_each_job}", mode="MULTIRUN"))


def test_with_the_traceback_on_demand(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(error_messages.SENTENCES, "0")
    with pytest.raises(SystemExit, match="1"):
        StartChecks().on_run_start(config("latent_dim=0"))
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "word", ["hydra.output_subdir=mine", "seed=${hydra:job.num}", "hydra.run.dir=${hydra:job.name}"]
)
def test_other_values_are_accepted(word: str) -> None:
    cfg = config(word, "hydra.job.num=3")
    StartChecks().on_run_start(cfg)
    assert not OmegaConf.is_readonly(cfg.hydra)  # it is checked as a copy


@pytest.mark.usefixtures("sentences")
@pytest.mark.parametrize("refused", [True, False])
def test_the_empty_folders_that_were_made_are_removed_and_no_others(
    refused: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").mkdir()
    folder = tmp_path / "a" / "b" / "c"
    cfg, checks = config(f"hydra.run.dir={folder}"), StartChecks()
    checks.on_run_start(cfg)
    folder.mkdir(parents=True)
    if refused:
        with pytest.raises(SystemExit, match=r"^error: lr=3: no\.$"):
            end(checks, cfg, SettingsError("lr=3: no."))
    else:
        end(checks, cfg)  # as after trainer.fast_dev_run
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and not list((tmp_path / "a").iterdir())
    assert not any(capsys.readouterr())

    (folder.parent / "thesis").mkdir(parents=True)
    checks.on_run_start(cfg)
    folder.mkdir()
    end(checks, cfg)
    assert [path.name for path in folder.parent.iterdir()] == ["thesis"]
    checks.on_run_start(cfg)
    folder.mkdir()
    (folder / "metrics.json").write_text("{}")
    end(checks, cfg)
    assert (folder / "metrics.json").exists()


@pytest.mark.usefixtures("sentences")
def test_a_log_that_leads_out_of_the_folder_is_not_written(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "train.log").symlink_to(secret)
    with pytest.raises(SystemExit, match=r"train\.log leads outside the run's folder"):
        StartChecks().on_run_start(config(f"hydra.run.dir={folder}"))
    assert secret.read_text() == "mine"


@pytest.mark.parametrize("words", [(), ("-m", "seed=0,1")], ids=["run", "multirun"])
def test_a_refused_command_leaves_nothing(words: tuple[str, ...], tmp_path: Path) -> None:
    done = forked(*words, *TINY, "latent_dim=0", cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: latent_dim=0: it must be 1 or more") and not list(tmp_path.iterdir())
