"""Pictures of what a VAE learned: arrays in, matplotlib Figure (or an array of pixels) out."""

from mnist_vae.figures.curves import curves
from mnist_vae.figures.latent import kl_per_dimension, latent_space
from mnist_vae.figures.mosaics import Block, image_grid, mosaic
from mnist_vae.figures.planes import rate_distortion
from mnist_vae.figures.style import pixels
from mnist_vae.figures.sweeps import by_setting
from mnist_vae.figures.traversals import interpolations, likeness, manifold, results, samples, traversals, uncertainty

__all__ = [
    "Block",
    "by_setting",
    "curves",
    "image_grid",
    "interpolations",
    "kl_per_dimension",
    "latent_space",
    "likeness",
    "manifold",
    "mosaic",
    "pixels",
    "rate_distortion",
    "results",
    "samples",
    "traversals",
    "uncertainty",
]
