"""Weights & Biases, offline: what the files hold that `wandb sync` uploads."""

import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from mnist_vae.training.loggers import WandB
from mnist_vae.training.loggers.record import RunRecord
from mnist_vae.training.train import train
from mnist_vae.utils.errors import SettingsError
from tests.conftest import composed
from tests.training.loggers.helpers import EPOCH_STEPS, RUN, STEPS, TEST_STEP, interrupted_and_resumed

wandb = pytest.importorskip("wandb")
BLOCK, HEADER = 32768, 7


def records(path: Path) -> Iterator[Any]:
    """The records of a .wandb file, a log in LevelDB's format: blocks of chunks of checksum, length and kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, content = path.read_bytes(), HEADER, b""
    while at + HEADER <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        content += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (1, 4):  # a whole record, or the last chunk of one
            record = Record()
            record.ParseFromString(content)
            yield record
            content = b""


class Logged(NamedTuple):
    """What the files of a run hold, those of the process that resumed it included."""

    runs: list[Any]
    config: dict[str, Any]
    history: dict[str, list[tuple[int, Any]]]  # steps and values
    exit_codes: list[int]


def logged(folder: Path) -> Logged:
    wandb.teardown()  # waits until all is written
    found = Logged([], {}, defaultdict(list), [])
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for record in records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                found.runs.append(record.run)
            elif kind == "config":
                found.config.update({entry.key: json.loads(entry.value_json) for entry in record.config.update})
            elif kind == "exit":
                found.exit_codes.append(record.exit.exit_code)
            elif kind == "history":
                items = {
                    item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item
                }
                for name, value in items.items():
                    found.history[name].append((items["trainer/global_step"], value))
    return found


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float | str], Logged]:
    folder = tmp_path_factory.mktemp("wandb") / "mine"
    metrics = interrupted_and_resumed(folder, "logger=wandb")
    return folder, metrics, logged(folder)


def test_a_resumed_run_is_the_same_one(resumed: tuple[Path, dict[str, float | str], Logged]) -> None:
    folder, _, found = resumed
    assert len(found.runs) == 2 and len({run.run_id for run in found.runs}) == 1
    assert {(run.project, run.display_name, run.run_group) for run in found.runs} == {("mnist-vae", "mine", "")}
    assert found.exit_codes == [1, 0] and wandb.run is None
    assert {path.name for path in folder.iterdir() if "wandb" in path.name} == {"wandb", "wandb.json"}


def test_it_has_the_hyperparameters(resumed: tuple[Path, dict[str, float | str], Logged]) -> None:
    config = resumed[2].config
    assert config["latent_dim"] == 3 and config["model"]["hidden_dims"] == [16] and config["objective"]["beta"] == 2
    assert config["data"]["name"] == "digits" and config["choices"] == {}  # composed without Hydra's own part


def test_it_has_each_value_once(resumed: tuple[Path, dict[str, float | str], Logged]) -> None:
    _, metrics, found = resumed
    for name in ("train/loss", "train/elbo", "train/beta", "train/images_per_second", "val/elbo", "val/active_units"):
        assert [step for step, _ in found.history[name]] == EPOCH_STEPS, name
    for name in ("train/loss_step", "train/kl_step", "train/gradient_norm_step"):
        assert [step for step, _ in found.history[name]] == STEPS, name
    for name in ("test/elbo", "test/reconstruction", "test/kl", "test/active_units"):
        assert found.history[name] == [(TEST_STEP, pytest.approx(metrics[name], rel=1e-6))]


def test_it_has_the_pictures_of_every_epoch(resumed: tuple[Path, dict[str, float | str], Logged]) -> None:
    folder, _, found = resumed
    for kind in ("reconstructions", "samples", "z_kl_per_dimension"):
        names = found.history[f"visuals/{kind}/filenames"]
        assert [step for step, _ in names] == EPOCH_STEPS
        paths = [next(folder.glob(f"wandb/offline-run-*/files/{name}")) for _, (name,) in names]
        assert all(Image.open(path).width > 500 for path in paths)
    ours = [Image.open(folder / "figures" / "epochs" / f"samples_000{n}.png") for n in (1, 2)]
    theirs = [next(folder.glob(f"wandb/*/files/{name}")) for _, (name,) in found.history["visuals/samples/filenames"]]
    for one, path in zip(ours, theirs, strict=True):
        assert np.array_equal(np.asarray(one.convert("RGB")), np.asarray(Image.open(path).convert("RGB")))


def test_a_job_is_in_its_sweeps_group(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "sweep.json").write_text("{}")
    for seed in (0, 1):  # in one process, as in a sweep's worker
        words = (*RUN, "max_epochs=1", "callbacks=none", f"seed={seed}", "logger=wandb", "logger.wandb.project=digits")
        train(composed(*words), tmp_path / "study" / f"seed={seed}")
        (run,) = logged(tmp_path / "study" / f"seed={seed}").runs
        assert (run.run_group, run.display_name, run.project) == ("study", f"seed={seed}", "digits")
    printed = capfd.readouterr()
    assert "wandb:" not in printed.out + printed.err


def test_what_a_killed_process_logged_is_logged_again(tmp_path: Path) -> None:
    """wandb may not have written it, so it does not count as logged before the logger is closed."""
    logger, value = WandB(str(tmp_path)), {"val/elbo": -100.0}
    logger.log_metrics(value, 10)
    logger.save()
    assert RunRecord(tmp_path / "wandb.json").id == logger.version
    assert RunRecord(tmp_path / "wandb.json").new(value, 10) == value
    logger.close()
    assert RunRecord(tmp_path / "wandb.json").new(value, 10) == {}


def test_online_without_an_account_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(SettingsError, match=r"logger.wandb: .*wandb login.*logger.wandb.offline=true needs no account"):
        train(composed(*RUN, "logger=wandb", "logger.wandb.offline=false"), tmp_path / "run")


@pytest.mark.parametrize("target", ["mnist_vae.training.loggers.WandB", "pytorch_lightning.loggers.WandbLogger"])
def test_a_missing_package_is_one_sentence(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_vae.training.loggers.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r'logger.mine: it needs wandb, .*: pip install -e "\.\[wandb\]"$'):
        train(composed(*RUN, "logger=none", f"+logger.mine._target_={target}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_named_wandb_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wandb").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.delitem(__import__("sys").modules, "wandb")
    with pytest.raises(SettingsError, match="which is not installed"):
        train(composed(*RUN, "logger=wandb"), tmp_path / "run")
