"""Train a VAE: `python train.py key=value …`; `--help` lists the keys and the choices."""

import hydra
from omegaconf import DictConfig

from mnist_vae.cli import entry


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> dict[str, float | str]:
    return entry.job(cfg, "mnist_vae.training.train.train")


if __name__ == "__main__":
    entry.run(main)
