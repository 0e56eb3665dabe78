"""train(cfg) and the folder it leaves, which other tools rely on."""

import csv
import json
import logging
import math
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import mnist_vae
from mnist_vae.figures.colours import class_colours, to_unit_rgb
from mnist_vae.objectives import Terms
from mnist_vae.runs.folder import RunFolder
from mnist_vae.runs.load import open_run
from mnist_vae.training import console
from mnist_vae.training.experiment import Experiment
from mnist_vae.training.train import check_extension, train
from mnist_vae.utils.errors import RunFolderError, SettingsError, TrainingDiverged
from tests.conftest import composed

Tiny = Callable[..., DictConfig]
TERMS = ("loss", "elbo", "reconstruction", "kl")
without_pictures = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run of three epochs of 11 steps."""
    folder = tmp_path_factory.mktemp("run") / "a run"
    train(composed(*TINY_RUN), folder)
    return folder


TINY_RUN = ("data=digits", "model.hidden_dims=[16]", "latent_dim=3", "max_epochs=3", "accelerator=cpu")
TINY_RUN += ("trainer.log_every_n_steps=4", "beta=2", "objective.warmup_epochs=2", "schedule=constant", "lr=1e-3")


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_folder_holds_what_the_contract_says(finished: Path) -> None:
    files = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    assert {".hydra/config.yaml", "metrics.csv", "metrics.json", "environment.json"} <= files
    assert {"checkpoints/best.ckpt", "checkpoints/last.ckpt", "figures/results.png"} <= files
    names = ("curves", "samples", "latent_space", "kl_per_dimension", "traversals", "interpolations")
    assert {f"figures/{name}.png" for name in names} | {"figures/training.gif"} <= files
    pictures = {f"figures/epochs/{kind}_{n:04d}.png" for kind in ("reconstructions", "samples") for n in (1, 2, 3)}
    assert pictures <= files
    assert not [name for name in files if ".tmp" in name or "hparams" in name]


def test_metrics_json_is_flat_and_has_what_the_contract_names(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    assert all(isinstance(value, int | float | str) for value in metrics.values())
    names = {"test/elbo", "test/reconstruction", "test/kl", "test/active_units", "val/elbo", "train/loss"}
    assert names | {"epochs", "parameters", "train_seconds", "images_per_second", "dataset"} <= metrics.keys()
    assert metrics["dataset"] == "digits" and metrics["epochs"] == 3
    assert metrics["parameters"] == 784 * 16 + 16 + 16 * 6 + 6 + 3 * 16 + 16 + 16 * 784 + 784
    assert metrics["test/elbo"] == pytest.approx(-(metrics["test/reconstruction"] + metrics["test/kl"]), abs=1e-3)
    assert metrics["test/loss"] == pytest.approx(metrics["test/reconstruction"] + 2 * metrics["test/kl"], abs=1e-3)
    assert metrics["images_per_second"] == pytest.approx(3 * 1300 / metrics["train_seconds"], rel=0.01)


def test_metrics_csv_has_a_row_per_epoch(finished: Path) -> None:
    table = rows(finished)
    assert [(row["epoch"], row["step"]) for row in table] == [("1", "11"), ("2", "22"), ("3", "33")]
    for row in table:
        for split in ("train", "val"):
            values = {name: float(row[f"{split}/{name}"]) for name in TERMS}
            assert values["elbo"] == pytest.approx(-(values["reconstruction"] + values["kl"]), abs=1e-3)
    # beta warms up from 0 to 2 within two epochs, so the first epoch's loss is not the last one's mixture
    first, last = ({n: float(r[f"train/{n}"]) for n in TERMS} for r in (table[0], table[-1]))
    assert first["loss"] < first["reconstruction"] + first["kl"]
    assert last["loss"] == pytest.approx(last["reconstruction"] + 2 * last["kl"], abs=1e-3)


def test_tensorboard_has_clear_curves_and_pictures(finished: Path) -> None:
    log = events(finished)
    for split, steps in (("train", [10, 21, 32]), ("val", [10, 21, 32]), ("test", [33])):
        for name in TERMS:
            assert [event.step for event in log.Scalars(f"{name}/{split}")] == steps
    for name in ("train/beta", "train/lr", "train/gradient_norm", "train/images_per_second", "val/active_units"):
        assert [event.step for event in log.Scalars(name)] == [10, 21, 32]
    assert [event.value for event in log.Scalars("train/beta")] == [1, 2, 2]  # warming up for two epochs
    assert [event.value for event in log.Scalars("train/lr")] == pytest.approx([1e-3] * 3)
    for name in ("loss", "reconstruction", "kl", "beta", "gradient_norm"):
        assert [event.step for event in log.Scalars(f"train/{name}_step")] == [3, 7, 11, 15, 19, 23, 27, 31]
    table = rows(finished)
    assert [e.value for e in log.Scalars("elbo/val")] == pytest.approx([float(r["val/elbo"]) for r in table])
    for kind, (width, height) in {"reconstructions": (858, 170), "samples": (858, 428)}.items():
        images = log.Images(f"visuals/{kind}")
        assert [event.step for event in images] == [10, 21, 32]
        assert {(event.width, event.height) for event in images} == {(width, height)}
        with Image.open(finished / "figures" / "epochs" / f"{kind}_0003.png") as png:
            assert png.size == (width, height) and png.mode == "L"
    bars = log.Images("visuals/z_kl_per_dimension")
    assert [(event.step, event.width, event.height) for event in bars] == [(n, 520, 260) for n in (10, 21, 32)]


def test_tensorboard_compares_runs_by_their_hyperparameters(finished: Path) -> None:
    """The tab HParams: TensorBoard collects keys and metrics from all runs unless a run has a list of its own."""
    content = {tag: value.plugin_data.content for tag, value in events(finished).summary_metadata.items()}
    start = HParamsPluginData.FromString(content["_hparams_/session_start_info"]).session_start_info
    shown = {name: value.string_value or value.number_value for name, value in start.hparams.items()}
    assert shown == {"model": "MLP", "data": "digits", "latent_dim": 3, "beta": 2, "seed": 0}
    assert "_hparams_/experiment" not in content
    assert sorted(events(finished).Tags()["scalars"])[:3] == ["elbo/test", "elbo/train", "elbo/val"]


def test_tensorboard_opens_on_reconstructions(finished: Path) -> None:
    assert sorted(events(finished).Tags()["images"])[0] == "visuals/reconstructions"


def test_tensorboard_has_a_chart_of_each_term_and_split(finished: Path) -> None:
    (event,) = events(finished).Tensors("custom_scalars__config__")
    layout = Layout.FromString(event.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == ["elbo", "reconstruction", "kl", "loss", "within epochs"]
    tags = events(finished).Tags()["scalars"]
    for category in layout.category[:-1]:
        patterns = {chart.title: chart.multiline.tag[0] for chart in category.chart}
        charts = {title: [tag for tag in tags if re.match(pattern, tag)] for title, pattern in patterns.items()}
        name = category.title
        assert charts == {f"{name}, {split}": [f"{name}/{split}"] for split in ("train", "val", "test")}


def test_tensorboard_has_a_projector_with_names_and_thumbnails(finished: Path) -> None:
    folder = finished / "tensorboard"
    config = (folder / "projector_config.pbtxt").read_text()
    paths = dict(re.findall(r'(\w+_path|image_path): "([^"]+)"', config))
    means = np.loadtxt(folder / paths["tensor_path"], delimiter="\t")
    names = (folder / paths["metadata_path"]).read_text().split()
    run = open_run(finished)
    images, labels = run.data().test_split
    with torch.no_grad():
        assert np.allclose(means, run.vae.encode(images / 255).mean, atol=1e-4)
    assert names == [str(label) for label in labels.tolist()]
    with Image.open(folder / paths["image_path"]) as sprite:
        assert sprite.size == (18 * 28, 18 * 28)  # 18 is the root of 297, rounded up
        pixels = np.asarray(sprite.convert("RGB"))[28:56, :28] / 255
    shade, colour = images[18, 0, :, :, None].numpy() / 255, to_unit_rgb(class_colours(10))[labels[18]]
    assert np.abs(pixels - (colour + (1 - colour) * shade)).max() < 0.01  # on the colour of its class


def test_results_is_large_enough_for_paper(finished: Path) -> None:
    with Image.open(finished / "figures" / "results.png") as png:
        assert png.width > 1200 and png.info["dpi"][0] > 199


def test_the_config_is_kept_resolved(finished: Path) -> None:
    cfg = OmegaConf.load(finished / ".hydra" / "config.yaml")
    assert cfg.objective.beta == 2.0 and "${" not in (finished / ".hydra" / "config.yaml").read_text()


def test_environment_names_versions_and_machine(finished: Path) -> None:
    environment = json.loads((finished / "environment.json").read_text())
    assert environment["packages"]["torch"] == str(torch.__version__).partition("+")[0]
    assert environment["device"] == "cpu" and environment["threads"] >= 1 and environment["processor"]
    assert "git_commit" in environment


def test_a_complete_run_says_so_and_is_left_alone(finished: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    with caplog.at_level(logging.INFO):
        metrics = train(composed(*TINY_RUN), finished)
    assert "is complete already" in caplog.text
    assert metrics == json.loads((finished / "metrics.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == before


def test_another_configuration_is_refused_by_its_keys(finished: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with pytest.raises(RunFolderError) as caught:
        train(composed(*TINY_RUN, "latent_dim=4", "optimizer=adamw"), finished)
    message = str(caught.value)
    assert "latent_dim (there 3, now 4)" in message and "optimizer._target_" in message
    assert "optimizer.weight_decay (there absent, now 0.01)" in message
    assert "batch_size" not in message
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_where_the_data_lie_does_not_make_another_configuration(finished: Path) -> None:
    train(composed(*TINY_RUN, "data.root=/elsewhere"), finished)


def test_load_run_gives_the_trained_vae(finished: Path) -> None:
    vae = mnist_vae.load_run(finished)
    assert not vae.training and vae.sample(16).shape == (16, 1, 28, 28)
    best = torch.load(finished / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, best[f"vae.{name}"]) for name, value in vae.state_dict().items())


@without_pictures
def test_the_test_metrics_are_those_of_the_best_epoch(tiny: Tiny, tmp_path: Path) -> None:
    # A learning rate so high that the best epoch is not the last.
    stopping = ("callbacks=early_stopping", "callbacks.early_stopping.patience=3", "~callbacks.epoch_images")
    cfg = tiny(*stopping, "max_epochs=60", "schedule=constant", "lr=0.03")
    metrics = train(cfg, tmp_path)
    table = rows(tmp_path)
    best = max(table, key=lambda row: float(row["val/elbo"]))
    assert metrics["epochs"] == len(table) < 60
    assert metrics["best_epoch"] == int(best["epoch"]) == len(table) - 3
    assert metrics["val/elbo"] == pytest.approx(float(best["val/elbo"]))
    best_weights, last_weights = (
        torch.load(tmp_path / "checkpoints" / f"{name}.ckpt", weights_only=True) for name in ("best", "last")
    )
    assert best_weights["global_step"] == int(best["step"]) < last_weights["global_step"]
    # Started again without its end, an early-stopped run does not train any further.
    (tmp_path / "metrics.json").unlink()
    timing = {"train_seconds", "images_per_second"}
    again = train(cfg, tmp_path)
    assert {k: v for k, v in again.items() if k not in timing} == {k: v for k, v in metrics.items() if k not in timing}
    assert len(rows(tmp_path)) == len(table)
    # Nor does it with more epochs to come.
    again = train(tiny(*stopping, "max_epochs=70", "schedule=constant", "lr=0.03"), tmp_path)
    assert again["epochs"] == len(table) and "extended_from" not in again


@without_pictures
def test_without_validation_the_last_epoch_is_the_one_reported(tiny: Tiny, tmp_path: Path) -> None:
    metrics = train(tiny("data.val_size=0"), tmp_path)
    assert metrics["best_epoch"] == 2 and not [name for name in metrics if name.startswith("val/")]
    best, last = (tmp_path / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
    assert torch.load(best, weights_only=True)["global_step"] == torch.load(last, weights_only=True)["global_step"]


@without_pictures
def test_the_seed_determines_the_metrics(tiny: Tiny, tmp_path: Path) -> None:
    def elbo(name: str, *overrides: str) -> float | str:
        return train(tiny("data.binarize=dynamic", *overrides), tmp_path / name)["test/elbo"]

    assert elbo("a") == elbo("b") != elbo("c", "seed=1")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("logger=none", set()),
        ("logger=csv", {"steps.csv"}),
        ("callbacks=none", {"tensorboard"}),
        ("optimizer=adamw", {"tensorboard"}),
        ("model=conv model.channels=[4] model.hidden_dim=8", {"tensorboard"}),
        ("data.binarize=threshold", {"tensorboard"}),
        ("accelerator.precision=bf16-mixed", {"tensorboard"}),
    ],
)
def test_other_choices_run_too(override: str, expected: set[str], tmp_path: Path) -> None:
    base = [o for o in TINY_RUN if "hidden_dims" not in o or "conv" not in override]
    metrics = train(composed(*base, *override.split(), "max_epochs=1"), tmp_path)
    assert math.isfinite(float(metrics["test/elbo"]))
    there = {name for name in ("tensorboard", "steps.csv") if (tmp_path / name).exists()}
    assert there == expected
    assert len(rows(tmp_path)) == 1
    assert bool(list(tmp_path.glob("figures/epochs/*"))) == (override != "callbacks=none")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["latent_dim=0"], "latent_dim=0"),
        (["batch_size=2000"], "batch_size=2000"),
        (["+model.depth=3"], "model.depth"),
        (["callbacks.epoch_images.every_n_epochs=0"], "every_n_epochs is 0"),
        (["objective.warmup_epochs=-1"], "warmup_epochs is -1"),
        (["data=mnist", "data.root=/nowhere/at/all"], "data=digits"),
    ],
)
def test_mistakes_are_reported_before_the_folder_is_touched(overrides: list[str], message: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Exception, match=message) as caught:
        train(composed(*TINY_RUN, *overrides), folder)
    assert type(caught.value).__module__ == "mnist_vae.utils.errors"
    assert not folder.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("accelerator", ["gpu", "ddp", "mps"])
def test_a_missing_device_is_reported(accelerator: str, tmp_path: Path) -> None:
    if accelerator == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is an MPS device")
    with pytest.raises(SettingsError, match=r"was found on this machine.*accelerator=auto"):
        train(composed(*TINY_RUN, f"accelerator={accelerator}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_diverging_run_is_not_complete(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match="epoch 1, step"):
        train(tiny("lr=1e9"), tmp_path)
    assert not (tmp_path / "metrics.json").exists()


def test_weights_that_diverge_in_the_last_step_are_reported(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match="the tested weights give no finite numbers"):
        train(tiny("max_epochs=1", "batch_size=1300", "schedule=constant", "lr=1e25", "callbacks=none"), tmp_path)
    assert not (tmp_path / "metrics.json").exists()


@without_pictures
def test_a_folder_in_use_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    with RunFolder(tmp_path).claimed(tiny()), pytest.raises(RunFolderError, match="in use by another process"):
        train(tiny(), tmp_path)
    train(tiny(), tmp_path)


def test_a_folder_that_cannot_be_written_is_reported(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"can't be written.*hydra.run.dir"):
        train(tiny(), tmp_path / "file" / "run")


@without_pictures
def test_a_damaged_best_checkpoint_is_reported_before_training_goes_on(finished: Path, tmp_path: Path) -> None:
    cfg, folder = composed(*TINY_RUN), Path(shutil.copytree(finished, tmp_path / "run"))
    (folder / "metrics.json").unlink()
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"not much")
    with pytest.raises(RunFolderError, match=r"can't be resumed.*best.ckpt.*Delete its folder checkpoints"):
        train(cfg, folder)
    for checkpoint in (folder / "checkpoints").iterdir():
        checkpoint.unlink()
    train(cfg, folder)


@without_pictures
def test_damaged_metrics_are_reported_and_written_again(finished: Path, tmp_path: Path) -> None:
    cfg, folder = composed(*TINY_RUN), Path(shutil.copytree(finished, tmp_path / "run"))
    metrics = RunFolder(folder).read_metrics()
    (folder / "metrics.json").write_text("{}")
    with pytest.raises(RunFolderError, match=r"metrics.json is damaged; delete it"):
        train(cfg, folder)
    (folder / "metrics.json").unlink()
    assert train(cfg, folder)["test/elbo"] == metrics["test/elbo"]


def test_a_run_starts_with_the_weights_of_another(
    finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At a learning rate of about 0 it keeps them, and so does the average of its weights."""
    there, here = Path(shutil.copytree(finished, tmp_path / "there")), tmp_path / "here"
    words = (*TINY_RUN, f"init_from='{there}'", "lr=1e-30", "callbacks=ema", "objective.warmup_epochs=0", "beta=3")
    caplog.set_level(logging.INFO)
    metrics = train(composed(*words, "max_epochs=1"), here)
    assert caplog.text.count("best.ckpt: encoder, decoder, posterior loaded\n") == 1
    source = json.loads((there / "metrics.json").read_text())
    for name in ("test/elbo", "test/kl", "val/elbo"):
        assert metrics[name] == pytest.approx(source[name], rel=1e-6)
    assert len(rows(here)) == metrics["best_epoch"] == 1
    record = json.loads((here / "init_from.json").read_text())
    assert record["epoch"] == source["best_epoch"] and record["loaded"] == ["encoder", "decoder", "posterior"]
    shutil.rmtree(there)  # from now on the run does not need it
    assert open_run(here).epochs == 1
    assert train(composed(*words, "max_epochs=1"), here) == metrics


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"latent_dim \(there 3, here 4\)"):
        train(composed(*TINY_RUN, f"init_from='{finished}'", "latent_dim=4"), tmp_path / "here")
    assert not (tmp_path / "here").exists()


@without_pictures
def test_a_complete_run_is_given_more_epochs(finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, timing = Path(shutil.copytree(finished, tmp_path / "run")), {"train_seconds", "images_per_second"}
    cfg = composed(*TINY_RUN, "max_epochs=5")
    with caplog.at_level(logging.INFO):
        extended = train(cfg, folder)
    assert "extended to 5 epochs" in caplog.text and "continuing after step 33" in caplog.text
    at_once = train(cfg, tmp_path / "at once")
    assert extended.pop("extended_from") == 3
    assert {k: v for k, v in extended.items() if k not in timing} == {
        k: v for k, v in at_once.items() if k not in timing
    }
    assert (folder / "metrics_0003_epochs.json").read_bytes() == (finished / "metrics.json").read_bytes()
    assert [row["epoch"] for row in rows(folder)] == ["1", "2", "3", "4", "5"]
    assert OmegaConf.load(folder / ".hydra" / "config.yaml").max_epochs == 5
    with pytest.raises(RunFolderError, match=r"max_epochs \(there 5, now 3\)"):
        train(composed(*TINY_RUN), folder)


@without_pictures
@pytest.mark.parametrize(
    ("overrides", "dependent"),
    [
        ([], "schedule=cosine"),
        (
            [
                "schedule=constant",
                "+callbacks.swa={_target_:pytorch_lightning.callbacks.StochasticWeightAveraging,swa_lrs:0.001}",
            ],
            "StochasticWeightAveraging",
        ),
    ],
)
def test_what_depends_on_the_number_of_epochs_cannot_be_extended(
    overrides: list[str], dependent: str, tiny: Tiny, tmp_path: Path
) -> None:
    train(tiny("max_epochs=1", *overrides), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    named = Experiment(tiny("max_epochs=2", *overrides), {"schedule": "cosine"})
    with pytest.raises(SettingsError, match=rf"max_epochs=2.*{dependent} depends on their number.*train a new run"):
        check_extension(named)
    with pytest.raises(SettingsError, match="depends on their number"):
        train(tiny("max_epochs=2", *overrides), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@without_pictures
def test_a_run_goes_on_with_the_threads_that_it_began_with(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    threads, seen = torch.get_num_threads(), []
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("mnist_vae.training.hardware.busy_hint", lambda: "a busy machine")
    opening = console.opening
    monkeypatch.setattr(
        "mnist_vae.training.train.opening", lambda *args: seen.append(torch.get_num_threads()) or opening(*args)
    )
    train(tiny("schedule=constant", "max_epochs=1"), tmp_path)
    about = json.loads((tmp_path / "environment.json").read_text())
    assert about["threads"] == threads
    (tmp_path / "environment.json").write_text(json.dumps(about | {"threads": threads + 1}))
    train(tiny("schedule=constant", "max_epochs=2"), tmp_path)
    assert seen == [threads, threads + 1] and torch.get_num_threads() == threads
    assert f"on {threads + 1} threads, as this run began" in caplog.text
    assert caplog.text.count("a busy machine") == 1  # no hint at OMP_NUM_THREADS where it decides nothing
    assert json.loads((tmp_path / "environment.json").read_text())["threads"] == threads + 1


def half_beta(vae, x, labels, epoch, noise, weight: float = 0.5) -> Terms:
    reconstruction, kl = vae.elbo_terms(x, noise, labels)
    return Terms(reconstruction + weight * kl, reconstruction, kl)


@without_pictures
def test_an_objective_can_be_a_function(tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny()
    cfg.objective = OmegaConf.create({"_target_": "tests.training.test_train.half_beta", "weight": 0.25})
    metrics = train(cfg, tmp_path)
    expected = float(metrics["test/reconstruction"]) + 0.25 * float(metrics["test/kl"])
    assert metrics["test/loss"] == pytest.approx(expected, rel=1e-6)
    OmegaConf.update(cfg, "objective.wait", 3, force_add=True)
    with pytest.raises(SettingsError, match=r"objective.wait: there is no such key"):
        train(cfg, tmp_path / "other")


def test_a_run_in_another_process_is_waited_for(tiny: Tiny, finished: Path, tmp_path: Path) -> None:
    """As the folder's other user, a thread that completes the run, and lets go."""
    run, held = RunFolder(tmp_path), threading.Event()
    metrics = RunFolder(finished).read_metrics()

    def other() -> None:
        with run.claimed(tiny()):
            held.set()
            time.sleep(1)
            run.write_metrics(metrics)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait()
    assert train(tiny(), tmp_path, wait=True) == metrics
    thread.join()
    assert not (tmp_path / "checkpoints").exists()


@without_pictures
def test_a_failure_is_removed_when_the_run_is_started_again(tiny: Tiny, tmp_path: Path) -> None:
    failure = {"error": "it failed.", "type": "RuntimeError", "traceback": "", "expected": True}
    run = RunFolder(tmp_path)
    run.write_failure(failure, ["seed=0"])
    assert run.read_failure() is not None
    train(tiny("max_epochs=1"), tmp_path)
    assert run.read_failure() is None and not run.failure.exists()
