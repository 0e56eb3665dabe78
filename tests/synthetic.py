"""Run folders made up by hand, for tests of what is read from them."""

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import DictConfig, OmegaConf

from mnist_vae.config.build import build_vae

MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"_target_": "mnist_vae.models.networks.mlp.MLP", "hidden_dims": [400], "activation": "relu"},
    "conv": {"_target_": "mnist_vae.models.networks.conv.Conv", "channels": [16, 32], "activation": "relu"},
}


# What Hydra notes of a run with the defaults.
CHOICES = {
    "model": "mlp",
    "data": "mnist",
    "objective": "elbo",
    "likelihood": "bernoulli",
    "logger": "tensorboard",
}


def config(
    latent_dim: int = 2,
    beta: float = 1.0,
    seed: int = 0,
    model: str = "mlp",
    data: str = "mnist",
    conditional: bool = False,
    monitor: str | None = "val/elbo",
    monitor_mode: str = "max",
    val_size: int = 5000,
) -> Any:
    """A run's config, as Hydra would have composed it."""
    return {
        "latent_dim": latent_dim,
        "conditional": conditional,
        "beta": float(beta),
        "seed": seed,
        "max_epochs": 4,
        "lr": 1e-3,
        "monitor": monitor,
        "monitor_mode": monitor_mode,
        "model": dict(MODELS[model]),
        "data": {
            "name": data,
            "root": f"/{seed}",
            "val_size": val_size,
            "binarize": "none",
            "source": {"dataset": data.upper()},
        },
        "objective": {"_target_": "mnist_vae.objectives.ELBO", "beta": float(beta)},
        "likelihood": {"_target_": "mnist_vae.models.likelihoods.Bernoulli"},
        "logger": {},
    }


def make_run(
    folder: Path,
    elbo: float | None = None,
    kl: float = 10.0,
    typed: bool = True,
    val: float | None = None,
    **settings: Any,
) -> Path:
    """A run's folder: complete with that test ELBO, or only begun.

    Args:
        typed: with the settings as overrides.
        val: the validation ELBO; None for one above the test's.
    """
    hydra = folder / ".hydra"
    hydra.mkdir(parents=True)
    cfg = config(**settings)
    (hydra / "config.yaml").write_text(yaml.safe_dump(cfg, sort_keys=False))
    if typed:
        choices = CHOICES | {group: settings[group] for group in CHOICES if group in settings}
        (hydra / "hydra.yaml").write_text(yaml.safe_dump({"hydra": {"runtime": {"choices": choices}}}))
        overrides = [f"{key}={value}" for key, value in settings.items()]
        (hydra / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    (folder / "metrics.csv").write_text("epoch,seconds,val/elbo\n1,2.5,-150\n2,2.5,-140\n")
    if elbo is not None:
        metrics = {"test/elbo": elbo, "test/kl": kl, "test/reconstruction": -elbo - kl, "test/active_units": 2.0}
        metrics |= {
            "val/elbo": elbo + 1 if val is None else val,
            "epochs": 2,
            "parameters": 12345,
            "train_seconds": 5.0,
        }
        metrics |= {"dataset": cfg["data"]["name"], "binarize": "none"}
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def make_checkpoint(folder: Path, cfg: DictConfig, seed: int = 7, epoch: int = 4) -> Path:
    """A run's folder with nothing but best.ckpt: initial weights of that seed, as if after that epoch. Images as the
    digits are, 28x28 with ten labels."""
    torch.manual_seed(seed)
    vae = build_vae(cfg, (1, 28, 28), 10)
    plain = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    content = {
        "state_dict": {f"vae.{name}": value for name, value in vae.state_dict().items()},
        "hyper_parameters": {"config": plain, "image_shape": (1, 28, 28), "classes": 10},
        "epoch": epoch - 1,
    }
    (folder / "checkpoints").mkdir(parents=True)
    torch.save(content, folder / "checkpoints" / "best.ckpt")
    return folder


def make_failure(folder: Path, error: str, traceback: str = "", overrides: list[str] | None = None) -> Path:
    """A job that failed before it began."""
    folder.mkdir(parents=True, exist_ok=True)
    failure = {"error": error, "type": "ValueError", "traceback": traceback, "overrides": overrides or [], "time": ""}
    (folder / "failed.json").write_text(json.dumps(failure))
    return folder


def make_plan(sweep: Path, *jobs: str) -> None:
    """sweep.json of jobs that are named by their overrides, joined by commas."""
    (sweep / "sweep.json").write_text(json.dumps({"jobs": {job: job.split(",") for job in jobs}}))


def make_sweep(top: Path) -> Path:
    """Four complete jobs of two settings and two seeds, and one of each other state."""
    jobs = [(1, 0, -100.0), (1, 1, -102.0), (4, 0, -110.0), (4, 1, -110.5)]
    names = [f"beta={beta},seed={seed}" for beta, seed, _ in jobs]
    for name, (beta, seed, elbo) in zip(names, jobs, strict=True):
        make_run(top / name, elbo, beta=beta, seed=seed)
    make_run(top / "beta=8,seed=0", beta=8, seed=0)
    make_failure(top / "beta=9,seed=0", "it broke.", "Traceback: line 3", ["beta=9", "seed=0"])
    make_plan(top, *names, "beta=8,seed=0", "beta=9,seed=0", "beta=16,seed=0")
    return top
