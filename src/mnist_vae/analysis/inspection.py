"""What a VAE makes of single images: their codes, reconstructions, terms of the ELBO and neighbours."""

from typing import NamedTuple

import torch
from torch import Tensor

from mnist_vae.models.vae import VAE

SAMPLES = 64
SEED = 20140414


class Inspection(NamedTuple):
    """What a VAE makes of images.

    Attributes:
        mean: posterior means, (images, latent_dim).
        reconstruction: E[x|z] at the posterior means, (images, channels, height, width) in [0, 1].
        nats: reconstruction term and KL term, (images, 2).
    """

    mean: Tensor
    reconstruction: Tensor
    nats: Tensor

    @property
    def elbo(self) -> Tensor:
        """The ELBO of each image in nats, (images,)."""
        return -self.nats.sum(dim=1)


def draws(latent_dim: int) -> Tensor:
    """The standard normal draws of `inspect`, (SAMPLES, 1, latent_dim): the same for every image."""
    return torch.randn(SAMPLES, 1, latent_dim, generator=torch.Generator().manual_seed(SEED))


def inspect(vae: VAE, x: Tensor, noise: Tensor, labels: Tensor | None = None) -> Inspection:
    """Encode images and estimate the terms of their ELBO: Kingma & Welling (2014), equations 7 and 8.

    Args:
        x: images (images, channels, height, width) in [0, 1].
        noise: see `draws`; the terms are averaged over its samples.
        labels: for a conditional VAE, (images,).
    """
    posterior, z, log_likelihood, log_q = vae.infer_from(x, noise.expand(-1, len(x), -1), labels)
    kl = vae.prior.kl(posterior, z, log_q).reshape(-1, len(x)).mean(dim=0)
    nats = torch.stack([-log_likelihood.mean(dim=0), kl], dim=1)
    return Inspection(posterior.mean, vae.decode(posterior.mean, labels), nats)


def most_likely_label(vae: VAE, x: Tensor, noise: Tensor) -> int:
    """The label of a conditional VAE under which an image (channels, height, width) has the largest ELBO.

    The ELBO stands for log p(x|y); labels are equally likely beforehand.
    """
    labels = torch.arange(vae.classes)
    return int(inspect(vae, x.expand(vae.classes, *x.shape), noise, labels).elbo.argmax())


def nearest(codes: Tensor, z: Tensor, count: int) -> Tensor:
    """Indices (count,) of the codes (n, latent_dim) that are nearest to z (latent_dim,), in Euclidean distance."""
    return (codes - z).square().sum(dim=1).topk(min(count, len(codes)), largest=False).indices
