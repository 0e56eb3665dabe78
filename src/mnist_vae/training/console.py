"""Text that a run prints: what is trained, and the table at the end."""

import shlex
from pathlib import Path

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


def summary(metrics: dict[str, float | str], folder: Path) -> str:
    """The table at a run's end: its results, and where its files are."""
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
    rule = "─" * 72
    return "\n".join([rule, *(f"{name:<17} {value}" for name, value in rows), rule])


def _relative(folder: Path) -> Path:
    absolute = folder.resolve()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute
