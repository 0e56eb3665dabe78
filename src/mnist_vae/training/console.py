"""Text that a run prints: what is trained, and the table at the end."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from mnist_vae.config import hparams
from mnist_vae.data.datamodule import ImageDataModule
from mnist_vae.models.vae import VAE
from mnist_vae.utils.text import plural


def opening(
    cfg: DictConfig, choices: hparams.Choices, vae: VAE, data: ImageDataModule, device: str, processes: int
) -> str:
    """Two lines: the model, the data and the device."""
    where = f"{processes} processes on {device}" if processes > 1 else device
    threads = f", {plural(torch.get_num_threads(), 'thread')}" if device == "cpu" else ""
    return (
        f"{hparams.choice(cfg, choices, 'model')} VAE: {cfg.latent_dim} latent dimensions, "
        f"{vae.count_parameters():,} parameters, beta {hparams.beta_of(cfg):g}\n"
        f"{cfg.data.name}: {len(data.train_split[0]):,} training, {len(data.val_split[0]):,} validation, "
        f"{len(data.test_split[0]):,} test images; on {where}{threads}"
    )


def summary(metrics: dict[str, float | str], folder: Path, loggers: Mapping[str, Any] | None = None) -> str:
    """The table at a run's end: its results, and where its files are.

    Args:
        loggers: the config's group `logger`.
    """
    shown = _relative(folder)
    rows = [
        ("test ELBO", f"{metrics['test/elbo']:.3f} nats per image"),
        ("  reconstruction", f"{metrics['test/reconstruction']:.3f}"),
        ("  KL", f"{metrics['test/kl']:.3f}"),
        ("  active units", f"{metrics['test/active_units']:.0f}"),
        ("training", f"{metrics['train_seconds']:.1f} s, {metrics['images_per_second']:,.0f} images per second"),
        ("pictures", f"{shown / 'figures' / 'results.png'}, and more beside it"),
        ("folder", str(shown)),
    ]
    if (folder / "tensorboard").exists():
        top = shown if shown.is_absolute() else Path(*shown.parts[:1])
        rows.append(("curves", f"tensorboard --logdir {shlex.quote(str(top))}"))
    rows += [("curves", command) for command in _commands(shown, loggers or {})]
    rule = "─" * 72
    return "\n".join([rule, *(f"{name:<17} {value}" for name, value in rows), rule])


def _commands(folder: Path, loggers: Mapping[str, Any]) -> Iterator[str]:
    """Commands that show what the loggers wrote."""
    for node in loggers.values():
        if node.get("tracking_uri"):
            yield f"mlflow ui --backend-store-uri {shlex.quote(node['tracking_uri'])}"
        if node.get("offline") and (folder / "wandb").exists():
            yield f"wandb sync {shlex.quote(str(folder / 'wandb'))}/offline-run-*"


def _relative(folder: Path) -> Path:
    absolute = folder.resolve()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute
