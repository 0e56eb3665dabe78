"""Figures of runs and sweeps. Functions take arrays and return a matplotlib Figure, or an array of pixels."""

from mnist_vae.figures.curves import curves
from mnist_vae.figures.latent import kl_per_dimension, latent_space
from mnist_vae.figures.learning_curves import learning_curves
from mnist_vae.figures.mosaics import Block, image_grid, mosaic
from mnist_vae.figures.rate_distortion import rate_distortion
from mnist_vae.figures.sample_quality import sample_quality
from mnist_vae.figures.search import hyperparameter_importance, search_history
from mnist_vae.figures.style import pixels
from mnist_vae.figures.sweeps import by_setting
from mnist_vae.figures.traversals import (
    interpolations,
    manifold,
    results,
    samples,
    traversals,
    uncertainty,
    variations,
)

__all__ = [
    "Block",
    "by_setting",
    "curves",
    "hyperparameter_importance",
    "image_grid",
    "interpolations",
    "kl_per_dimension",
    "latent_space",
    "learning_curves",
    "manifold",
    "mosaic",
    "pixels",
    "rate_distortion",
    "results",
    "sample_quality",
    "samples",
    "search_history",
    "traversals",
    "uncertainty",
    "variations",
]
