"""Train a VAE: `python train.py key=value …`; `--help` lists the keys and the choices."""

import hydra
from omegaconf import DictConfig

from mnist_vae import cli


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> dict[str, float | str]:
    return cli.job(cfg, "mnist_vae.training.train")


if __name__ == "__main__":
    cli.run(main)
