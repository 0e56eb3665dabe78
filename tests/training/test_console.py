from pathlib import Path

import pytest
import torch

from mnist_vae.config.build import build_data, build_vae
from mnist_vae.training.console import opening, summary
from mnist_vae.utils.text import plural
from tests.conftest import TINY, composed

METRICS: dict[str, float | str] = {
    "test/elbo": -123.4567,
    "test/reconstruction": 100.0,
    "test/kl": 23.4567,
    "test/active_units": 3.0,
    "train_seconds": 12.34,
    "images_per_second": 12345.6,
}


def test_the_opening_has_the_model_the_data_and_the_device() -> None:
    cfg = composed(*TINY, "beta=2")
    data = build_data(cfg)
    vae = build_vae(cfg, data.image_shape)
    parameters = 784 * 16 + 16 + 16 * 6 + 6 + 3 * 16 + 16 + 16 * 784 + 784
    first, second = opening(cfg, {"model": "mlp"}, vae, data, "cpu", 1).splitlines()
    assert first == f"mlp VAE: 3 latent dimensions, {parameters:,} parameters, beta 2"
    images = "digits: 1,300 training, 200 validation, 297 test images; on "
    assert second == f"{images}cpu, {plural(torch.get_num_threads(), 'thread')}"
    assert opening(cfg, {}, vae, data, "NVIDIA H100", 4).splitlines()[1] == f"{images}4 processes on NVIDIA H100"


def test_the_summary_has_the_results_and_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "outputs" / "runs" / "1"
    folder.mkdir(parents=True)
    rows = dict(line.split(maxsplit=1) for line in summary(METRICS, folder).splitlines()[1:-1] if "test" not in line)
    assert rows["training"] == "12.3 s, 12,346 images per second" and rows["folder"] == "outputs/runs/1"
    assert rows["KL"] == "23.457" and rows["active"].split() == ["units", "3"]
    assert "test ELBO         -123.457 nats per image" in summary(METRICS, folder)
    assert "curves" not in rows and rows["pictures"].startswith("outputs/runs/1/figures/results.png")


def test_the_commands_that_show_what_was_logged(tmp_path: Path) -> None:
    nodes = {"wandb": {"offline": True}, "mlflow": {"tracking_uri": "sqlite:///a b.db"}, "other": {}}
    assert "mlflow ui --backend-store-uri 'sqlite:///a b.db'" in summary(METRICS, tmp_path, nodes)
    assert "wandb sync" not in summary(METRICS, tmp_path, nodes)
    (tmp_path / "wandb").mkdir()
    assert f"wandb sync {tmp_path}/wandb/offline-run-*" in summary(METRICS, tmp_path, nodes)
    assert "wandb sync" not in summary(METRICS, tmp_path, {"wandb": {"offline": False}})


def test_tensorboard_is_pointed_to_all_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my outputs" / "1"
    (folder / "tensorboard").mkdir(parents=True)
    assert f"tensorboard --logdir '{folder}'" in summary(METRICS, folder)
    monkeypatch.chdir(tmp_path)
    assert "tensorboard --logdir 'my outputs'\n" in summary(METRICS, folder)
