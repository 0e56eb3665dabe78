"""Train a VAE: `python train.py key=value …`; `--help` lists the keys and the choices."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mnist_vae import cli


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
@cli.job
def main(cfg: DictConfig) -> dict[str, float | str]:
    # Torch and Lightning load here, so that --help and --cfg answer at once.
    from mnist_vae.training import train

    hydra_cfg = HydraConfig.get()
    return train(cfg, hydra_cfg.runtime.output_dir, hydra_cfg)


if __name__ == "__main__":
    cli.run(main)
