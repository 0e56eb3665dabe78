"""A run as the explorer shows it: its model, and codes of its images, computed once."""

import copy
from functools import cached_property

import torch
from torch import Tensor

from mnist_vae.analysis import inspection, metrics
from mnist_vae.analysis.encoding import ShowProgress, encode_images
from mnist_vae.analysis.inspection import Inspection
from mnist_vae.analysis.probes import NEIGHBOURS
from mnist_vae.explorer.pictures import data_uri, to_bytes
from mnist_vae.models.vae import VAE
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.pixels import to_unit

TRAINING_IMAGES = 10_000  # among which neighbours are looked for
PRIOR_SAMPLES = 20_000
PRIOR_SEED = 20140414
SIGNIFICANT = 4  # standard errors
SHOWN = 3000  # test images on the map; more would overlap


class ExploredRun:
    """A run as the explorer shows it.

    Args:
        run: the run.
        name: its name on the page.
        root: the folder of its images, see OpenRun.data.
        show_progress: wrapper of the iterable of batches that are encoded, such as tqdm.

    Attributes:
        images, labels: test images, uint8 (n, channels, height, width), and labels, (n,).
        posterior: q(z|x) of the test images.
        prior_codes: samples of the prior, (PRIOR_SAMPLES, latent_dim).

    Raises:
        DataError: the images are not available.
    """

    def __init__(self, run: OpenRun, name: str, root: str | None = None, show_progress: ShowProgress = iter) -> None:
        # For single images a GPU would be no faster; the caller's model stays where it is.
        self.vae: VAE = run.vae if run.vae.device.type == "cpu" else copy.deepcopy(run.vae).cpu()
        unfinished = "" if run.folder.complete else f", not complete: epoch {run.epochs}"
        self.name, self.title = name, run.title + unfinished
        data = run.data(root)
        self.images, self.labels = data.test_split
        self.train_images, self.train_labels = (part[:TRAINING_IMAGES] for part in data.fixed("train"))
        self.classes = [str(label) for label in data.classes]
        self.posterior = encode_images(self.vae, self.images, self.labels, show_progress)
        train = encode_images(self.vae, self.train_images, self.train_labels, show_progress)
        self.train_means = train.mean
        generator = torch.Generator().manual_seed(PRIOR_SEED)
        self.prior_codes = self.vae.prior.sample(PRIOR_SAMPLES, generator).cpu()
        self.noise = inspection.draws(self.vae.latent_dim)

    @cached_property
    def kl(self) -> Tensor | None:
        """KL of each latent dimension in nats, (latent_dim,); None where the KL is not a sum over dimensions."""
        kl = self.vae.prior.kl_per_dimension(self.posterior)
        return None if kl is None else kl.mean(dim=0)

    @cached_property
    def active(self) -> list[bool]:
        """Whether each latent dimension is an active unit."""
        return metrics.active_dimensions(self.posterior.mean).tolist()

    @cached_property
    def dimensions(self) -> list[int]:
        """The latent dimensions, the most informative first: by KL, or by the variance of their posterior means."""
        informative = self.posterior.mean.var(dim=0) if self.kl is None else self.kl
        return informative.argsort(descending=True, stable=True).tolist()

    @cached_property
    def limits(self) -> tuple[Tensor, Tensor]:
        """Least and greatest value of each dimension among codes of images and samples of the prior, (latent_dim,)."""
        codes = torch.cat([self.posterior.mean, self.prior_codes])
        return codes.amin(dim=0), codes.amax(dim=0)

    @cached_property
    def prior_mean(self) -> Tensor:
        """Mean of the prior, (latent_dim,), estimated from samples; 0 where it is not significantly different."""
        error = self.prior_codes.std(dim=0) / len(self.prior_codes) ** 0.5
        mean = self.prior_codes.mean(dim=0)
        return mean.where(mean.abs() > SIGNIFICANT * error, 0.0)

    @cached_property
    def pictures(self) -> list[str]:
        """The first SHOWN test images as data URIs."""
        return [data_uri(to_bytes(self.pixels(index))) for index in range(min(SHOWN, len(self.images)))]

    def pixels(self, index: int) -> Tensor:
        """A test image, (channels, height, width) in [0, 1]."""
        return to_unit(self.images[index])

    @torch.no_grad()
    def decode(self, z: Tensor, label: int = 0) -> Tensor:
        """E[x|z] of codes (..., latent_dim): images (..., channels, height, width) in [0, 1]."""
        return self.vae.decode(z, self._given(label))

    @torch.no_grad()
    def inspect(self, x: Tensor, label: int = 0) -> Inspection:
        """What the model makes of one image (channels, height, width); see `inspection.inspect`."""
        return inspection.inspect(self.vae, x[None], self.noise, self._given(label))

    @torch.no_grad()
    def most_likely_label(self, x: Tensor) -> int | None:
        """For a conditional run, the label under which an image has the largest ELBO; else None."""
        return inspection.most_likely_label(self.vae, x, self.noise) if self.vae.classes else None

    def neighbours(self, z: Tensor) -> tuple[Tensor, list[int]]:
        """The NEIGHBOURS training images whose codes are nearest: pixels (n, channels, height, width), and labels."""
        indices = inspection.nearest(self.train_means, z, NEIGHBOURS)
        return to_unit(self.train_images[indices]), self.train_labels[indices].tolist()

    def class_name(self, label: int) -> str:
        """Name of a label."""
        return self.classes[label] if 0 <= label < len(self.classes) else str(label)

    def _given(self, label: int) -> Tensor | None:
        return torch.tensor([label]) if self.vae.classes else None
