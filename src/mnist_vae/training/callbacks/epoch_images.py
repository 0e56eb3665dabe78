"""Reconstructions and samples after every epoch."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

from mnist_vae import figures
from mnist_vae.analysis.encoding import encode_images
from mnist_vae.figures.png import png
from mnist_vae.figures.run_figures import kl_bars
from mnist_vae.figures.sample_images import SampleImages
from mnist_vae.training.loggers import log_picture, takes_pictures
from mnist_vae.training.module import VAEModule
from mnist_vae.utils.io import write_atomically


class EpochImages(pl.Callback):
    """Draw test images above their reconstructions, and samples from fixed noise.

    They are written to `<run>/figures/epochs`, and to the loggers that take images, which get a bar chart of each
    dimension's KL as well.

    Args:
        every_n_epochs: epochs from one drawing to the next; the last of max_epochs is always drawn.

    Raises:
        ValueError: `every_n_epochs` is below 1.
    """

    KL_IMAGES = 1000

    def __init__(self, every_n_epochs: int = 1) -> None:
        if every_n_epochs < 1:
            raise ValueError(f"every_n_epochs is {every_n_epochs}; it must be 1 or more")
        self.every_n_epochs = every_n_epochs

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if (epoch % self.every_n_epochs and epoch != trainer.max_epochs) or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        assert isinstance(pl_module, VAEModule) and trainer.datamodule is not None  # type: ignore[attr-defined]
        split = trainer.datamodule.test_split  # type: ignore[attr-defined]
        images = SampleImages.of(pl_module.vae, split)
        pairs = torch.cat([images.originals, images.reconstructions]).numpy()
        pictures = {
            "reconstructions": png(figures.image_grid(pairs, columns=len(images.labels))),
            "samples": png(figures.image_grid(images.samples.numpy(), columns=10)),
        }
        for name, picture in pictures.items():
            path = Path(trainer.default_root_dir) / "figures" / "epochs" / f"{name}_{epoch:04d}.png"
            write_atomically(path, picture)
        loggers = [logger for logger in trainer.loggers if takes_pictures(logger)]
        if loggers:
            posterior = encode_images(pl_module.vae, *(part[: self.KL_IMAGES] for part in split))
            bars = kl_bars(pl_module.vae, posterior, f"epoch {epoch}", numbered=False)
            if bars is not None:
                # TensorBoard orders pictures by name, and is to open on the reconstructions.
                pictures["z_kl_per_dimension"] = png(figures.pixels(bars, dpi=100))
        for logger in loggers:
            for name, picture in pictures.items():
                log_picture(logger, f"visuals/{name}", picture, trainer.global_step - 1)
