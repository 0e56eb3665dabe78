"""Train a VAE: the installed command `mnist-vae`, which does what train.py of the repository does."""

import hydra
from omegaconf import DictConfig

from mnist_vae.cli import entry
from mnist_vae.config.schema import CONFIGS


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")
def main(cfg: DictConfig) -> dict[str, float | str]:
    return entry.job(cfg, "mnist_vae.training.train.train")


def command() -> None:
    entry.run(main, config_path_from_here=True)
