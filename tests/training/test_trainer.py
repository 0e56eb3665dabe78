"""The config group `trainer`, through whole runs: each entry does what pl.Trainer documents, or is refused."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf

from mnist_vae.analysis.evaluation import image_terms
from mnist_vae.config.build import build_data, build_vae
from mnist_vae.config.checks import SET_ELSEWHERE
from mnist_vae.runs.checkpoints import read_checkpoint
from mnist_vae.training.train import train
from mnist_vae.training.trainer import check_trainer
from mnist_vae.utils.errors import SettingsError
from tests.conftest import composed

pytestmark = pytest.mark.usefixtures("undrawn")

Tiny = Callable[..., DictConfig]
QUICK = ("callbacks=none", "logger=none", "trainer.enable_progress_bar=false")
STEPS = 11  # of an epoch of the embedded digits


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def elbo_of_best(folder: Path, cfg: DictConfig, split: str) -> float:
    """The ELBO of best.ckpt's weights on a split, computed without Lightning."""
    content = read_checkpoint(folder / "checkpoints" / "best.ckpt")
    vae = build_vae(cfg, (1, 28, 28))
    vae.load_state_dict({k[len("vae.") :]: v for k, v in content["state_dict"].items()})
    reconstruction, kl = image_terms(vae.eval(), *build_data(cfg).fixed(split))
    return -float((reconstruction + kl).mean())


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        (("max_epochs=3", "trainer.max_steps=14"), [STEPS, 14]),
        (("trainer.max_steps=5",), [5]),
        (("trainer.max_epochs=-1", "trainer.max_steps=13"), [STEPS, 13]),
        (("trainer.max_epochs=1",), [STEPS]),
        (("trainer.limit_train_batches=3",), [3, 6]),
        (("trainer.accumulate_grad_batches=4",), [3, 6]),
        (("trainer.overfit_batches=2",), [2, 4]),
        (("trainer.val_check_interval=4",), [STEPS, 2 * STEPS]),
        (("trainer.val_check_interval=0.5", "data.val_size=0"), [12, 24]),
        (("trainer.limit_val_batches=0",), [STEPS, 2 * STEPS]),
        (("trainer.num_sanity_val_steps=2",), [STEPS, 2 * STEPS]),
        (("trainer.log_every_n_steps=0",), [STEPS, 2 * STEPS]),
        (("+trainer.min_epochs=1", "+trainer.inference_mode=false"), [STEPS, 2 * STEPS]),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_a_run_has_these_steps_after_its_epochs(overrides: tuple[str, ...], steps: list[int], tiny: Tiny, tmp_path):
    metrics = train(tiny(*QUICK, *overrides), tmp_path)
    assert [int(row["step"]) for row in rows(tmp_path)] == steps and metrics["epochs"] == len(steps)
    assert metrics["test/elbo"] == pytest.approx(-(metrics["test/reconstruction"] + metrics["test/kl"]))  # type: ignore[operator]


@pytest.mark.parametrize("preset", ["anomaly", "limit", "overfit", "profiler"])
def test_debug_presets_complete_a_run(preset: str, tiny: Tiny, tmp_path: Path, capsys) -> None:
    train(tiny(*QUICK, f"debug={preset}", "max_epochs=1"), tmp_path)
    assert (tmp_path / "metrics.json").exists()
    printed = capsys.readouterr()
    assert ("backward" in printed.out + printed.err) == (preset == "profiler") and "Warning" not in printed.err


def test_a_fast_dev_run_leaves_nothing(tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert train(tiny("debug=fast_dev_run"), tmp_path / "run") == {}
    assert "nothing was kept" in caplog.text and not (tmp_path / "run").exists()


def test_validation_metrics_are_of_the_weights_that_are_tested(tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny(*QUICK, "trainer.val_check_interval=4", "lr=1e-2")  # the epoch's last validation is before its end
    metrics = train(cfg, tmp_path)
    assert float(rows(tmp_path)[-1]["val/elbo"]) != metrics["val/elbo"]
    for split in ("val", "test"):
        assert metrics[f"{split}/elbo"] == pytest.approx(elbo_of_best(tmp_path, cfg, split), rel=1e-6)


def test_weights_averaged_at_the_end_are_tested(tiny: Tiny, tmp_path: Path) -> None:
    swa = "_target_:pytorch_lightning.callbacks.StochasticWeightAveraging,swa_lrs:1e-3,swa_epoch_start:1"
    cfg = tiny(*QUICK, f"+callbacks.swa={{{swa}}}", "max_epochs=4")
    metrics = train(cfg, tmp_path)
    best, last = (read_checkpoint(tmp_path / "checkpoints" / f"{name}.ckpt") for name in ("best", "last"))
    name = "vae.to_posterior.weight"
    assert not torch.equal(best["state_dict"][name], last["state_dict"][name])
    assert metrics["best_epoch"] == 4
    for split in ("val", "test"):
        assert metrics[f"{split}/elbo"] == pytest.approx(elbo_of_best(tmp_path, cfg, split), rel=1e-6)


def test_a_checkpoint_callback_of_lightning_saves_every_few_steps(tiny: Tiny, tmp_path: Path) -> None:
    saving = "_target_:pytorch_lightning.callbacks.ModelCheckpoint,every_n_train_steps:5,save_top_k:-1"
    train(tiny(*QUICK, f"+callbacks.saving={{{saving},dirpath:{tmp_path / 'extra'}}}"), tmp_path / "run")
    assert {read_checkpoint(path)["global_step"] for path in (tmp_path / "extra").iterdir()} == {5, 10, 15, 20}


def test_nested_targets_are_built(tiny: Tiny, tmp_path: Path) -> None:
    nested = "_target_:tests.training.test_trainer.Holder,held:{_target_:datetime.timedelta,days:2}"
    train(tiny(*QUICK, f"+callbacks.holder={{{nested}}}", "trainer.limit_train_batches=1"), tmp_path)
    assert Holder.days == 2


class Holder(pl.Callback):
    """A callback that needs an object."""

    days = 0

    def __init__(self, held: Any) -> None:
        Holder.days = held.days


def test_every_logger_of_a_list_gets_hyperparameters_and_final_metrics(tiny: Tiny, tmp_path: Path) -> None:
    stock = f"_target_:pytorch_lightning.loggers.CSVLogger,save_dir:{tmp_path / 'stock'}"
    cfg = composed(
        *[word for word in TINY_WORDS if not word.startswith("logger")],
        "logger=[tensorboard,csv]",
        f"+logger.stock={{{stock}}}",
    )
    metrics = train(cfg, tmp_path / "run")
    assert list((tmp_path / "run" / "tensorboard").glob("events*")) and (tmp_path / "run" / "steps.csv").exists()
    assert f"test/elbo,{metrics['test/elbo']}" in (tmp_path / "run" / "steps.csv").read_text()
    (folder,) = (tmp_path / "stock" / "lightning_logs").iterdir()
    assert "latent_dim: 3" in (folder / "hparams.yaml").read_text()
    with (folder / "metrics.csv").open() as file:
        logged = [row["test/elbo"] for row in csv.DictReader(file) if row.get("test/elbo")]
    assert [float(value) for value in logged] == pytest.approx([metrics["test/elbo"]])


TINY_WORDS = ("data=digits", "model.hidden_dims=[16]", "latent_dim=3", "max_epochs=1", "accelerator=cpu", *QUICK)


@pytest.mark.parametrize("name", sorted(SET_ELSEWHERE))
def test_entries_that_are_set_elsewhere_are_refused_with_the_place(name: str, tiny: Tiny) -> None:
    cfg = tiny()
    OmegaConf.update(cfg, f"trainer.{name}", 1, force_add=True)
    with pytest.raises(SettingsError, match=f"trainer.{name}: "):
        check_trainer(cfg)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+trainer.max_epoch=3", "trainer.max_epoch: there is no such key; did you mean trainer.max_epochs"),
        ("trainer.profiler=nonsense", "trainer: .*profiler"),
        ("trainer.max_epochs=-1", "trainer.max_epochs=-1: set trainer.max_steps"),
        ("trainer.max_epochs=null", "trainer.max_epochs=null: it must be a number"),
        ("trainer.max_steps=abc", "trainer.max_steps=abc: it must be a whole number"),
        ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches=0: it must be"),
        (
            "trainer.max_epochs=1000000000000000000000",
            "trainer.max_epochs=1000000000000000000000: .* at most 1,000,000,000",
        ),
        ("trainer.val_check_interval=0", "trainer.val_check_interval=0: it must be a share"),
        ("trainer.gradient_clip_val=-1", "trainer.gradient_clip_val=-1: it must be 0 or more, or null"),
        ("trainer.deterministic=maybe", "trainer.deterministic=maybe: it must be true, false or warn"),
        ("trainer.compile=off", "trainer.compile=off: it must be true or false"),
        ("trainer.compile_mode=fast", "trainer.compile_mode=fast: it must be one of default"),
        ("+callbacks.x._target_=torch.nn.Identity", "callbacks.x._target_=torch.nn.Identity: it makes no Callback"),
        ("+callbacks.x._target_=builtins.dict", "callbacks.x._target_=builtins.dict: it makes no Callback"),
        ("trainer.limit_test_batches=0", "trainer.limit_test_batches=0: "),
        ("trainer.limit_train_batches=0", "trainer.limit_train_batches=0: "),
        ("trainer.max_steps=0", "trainer.max_steps=0: "),
        ("+trainer.enable_checkpointing=false", "trainer.enable_checkpointing=false: "),
        ("+callbacks.bar._target_=pytorch_lightning.callbacks.RichProgressBar", "trainer: .*RichProgressBar"),
    ],
)
def test_arguments_that_cannot_work_are_refused(override: str, message: str, tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        train(tiny(*QUICK, override), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_the_metrics_file_is_plain_json(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(*QUICK, "trainer.limit_train_batches=1", "trainer.deterministic=true"), tmp_path)
    assert all(isinstance(v, int | float | str) for v in json.loads((tmp_path / "metrics.json").read_text()).values())


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_are_clipped_in_mixed_precision_too(algorithm: str, tiny: Tiny, tmp_path: Path) -> None:
    words = ("accelerator.precision=bf16-mixed", "trainer.gradient_clip_val=0.1", "trainer.limit_train_batches=2")
    metrics = train(tiny(*QUICK, *words, f"trainer.gradient_clip_algorithm={algorithm}"), tmp_path)
    assert metrics["epochs"] == 2


def test_a_profiler_can_be_an_object(tiny: Tiny, tmp_path: Path) -> None:
    profiler = f"{{_target_:pytorch_lightning.profilers.SimpleProfiler,dirpath:{tmp_path},filename:profile}}"
    train(tiny(*QUICK, f"trainer.profiler={profiler}", "trainer.limit_train_batches=2"), tmp_path / "run")
    assert "backward" in (tmp_path / "fit-profile.txt").read_text()


def test_a_schedule_follows_the_epochs_when_gradients_are_accumulated(tiny: Tiny, tmp_path: Path) -> None:
    words = ("trainer.accumulate_grad_batches=4", "objective.warmup_epochs=1", "objective.cycle_epochs=1")
    train(tiny(*QUICK, *words), tmp_path)
    assert [float(row["train/beta"]) for row in rows(tmp_path)] == pytest.approx([1, 1])


def test_the_learning_rate_ends_where_the_schedule_does(tiny: Tiny, tmp_path: Path) -> None:
    middle = 1e-3 * (1 + math.cos(math.pi * (1 + 0.5 / 11) / 2)) / 2  # of the first step of the second epoch
    scheduler = "_target_:pytorch_lightning.callbacks.GradientAccumulationScheduler,scheduling:{0:1,1:11}"
    train(tiny(*QUICK, "lr=1e-3", "schedule.warmup=0", f"+callbacks.accumulate={{{scheduler}}}"), tmp_path)
    assert [float(row["train/lr"]) for row in rows(tmp_path)] == pytest.approx([middle, 0])


def test_the_loss_of_the_best_epoch_is_of_the_schedule_then(tiny: Tiny, tmp_path: Path) -> None:
    words = ("objective.warmup_epochs=8", "monitor=train/beta", "monitor_mode=min", "max_epochs=3")
    metrics = train(tiny(*QUICK, *words), tmp_path)
    assert metrics["best_epoch"] == 1
    assert metrics["val/loss"] == pytest.approx(float(rows(tmp_path)[0]["val/loss"]), rel=1e-12)


def test_lightnings_tuner_works_with_the_progress_bar(tiny: Tiny, tmp_path: Path) -> None:
    finder = "_target_:pytorch_lightning.callbacks.LearningRateFinder,num_training_steps:5"
    train(tiny("callbacks=none", "logger=none", f"+callbacks.finder={{{finder}}}", "max_epochs=1"), tmp_path)
    assert (tmp_path / "metrics.json").exists()


def test_a_refused_argument_leaves_the_folder_free(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"trainer: .*limit_train_batches"):
        train(tiny(*QUICK, "trainer.limit_train_batches=1.5"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    train(tiny(*QUICK, "trainer.limit_train_batches=0.5"), tmp_path / "run")
