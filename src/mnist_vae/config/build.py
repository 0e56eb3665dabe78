"""From config to the parts of an experiment."""

from omegaconf import DictConfig

from mnist_vae.config.instantiate import instantiate, instantiate_safely, instantiate_source_safely
from mnist_vae.data.datamodule import ImageDataModule
from mnist_vae.models.vae import VAE


def build_vae(cfg: DictConfig, image_shape: tuple[int, int, int], classes: int = 0) -> VAE:
    """The VAE that a config describes, with fresh weights from torch's global generator.

    Only torch modules of this project or of torch itself are built, whether the config comes from the command
    line or from somebody's run folder.

    Args:
        image_shape: (channels, height, width), from the data.
        classes: the data's number of labels, for a conditional VAE.

    Raises:
        SettingsError: a value of the groups model, posterior, likelihood or prior is wrong.
        ValueError: the config is of a conditional VAE, and there are no labels.
    """
    if cfg.conditional and not classes:
        raise ValueError("a conditional VAE needs the number of its labels")
    labels = classes if cfg.conditional else 0
    likelihood = instantiate_safely("likelihood", cfg.likelihood, image_shape=image_shape)
    prior = instantiate_safely("prior", cfg.prior, latent_dim=cfg.latent_dim, image_shape=image_shape)
    network = instantiate_safely(
        "model",
        cfg.model,
        image_shape=image_shape,
        latent_dim=cfg.latent_dim + labels,  # the decoder sees a label beside each code
        parameters_per_value=likelihood.parameters_per_value,
    )
    posterior = instantiate_safely("posterior", cfg.posterior, features=network.features, latent_dim=cfg.latent_dim)
    return VAE(network, likelihood, prior, posterior, labels)


def build_data(cfg: DictConfig, safely: bool = False) -> ImageDataModule:
    """The images that a config names, in memory.

    Args:
        safely: accept only this project's own sources; for a config that somebody else may have written.

    Raises:
        DataError: the images can't be had.
        SettingsError: a value of the group data, or batch_size, is wrong.
    """
    make = instantiate_source_safely if safely else instantiate
    source = make("data.source", cfg.data.source)
    data = cfg.data
    return ImageDataModule(source, data.name, data.val_size, data.binarize, cfg.batch_size, cfg.seed)
