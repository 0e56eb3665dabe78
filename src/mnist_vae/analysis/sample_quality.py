"""Quality of a run's samples: Fréchet distance, precision and recall against test images, in a classifier's features.

The same measurements of training images in place of samples show what samples without a flaw would have: a distance
slightly above 0, and a precision and a recall below 1.
"""

import json
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mnist_vae.analysis.digest import digest
from mnist_vae.analysis.feature_classifier import feature_classifier
from mnist_vae.analysis.generation import sample
from mnist_vae.analysis.latent import BATCH_SIZE
from mnist_vae.data.batches import EVALUATION_SEED
from mnist_vae.data.binarize import Binarize
from mnist_vae.models.vae import VAE
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.io import read_text

if TYPE_CHECKING:
    from mnist_vae.data.datamodule import ImageDataModule

NEIGHBOURS = 3  # k of Kynkäänniemi et al. (2019)
MAX_PAIRS = 2_000_000  # of features whose distances are in memory at once: 16 MB in float64
NAMES = ("frechet_distance", "precision", "recall")


class Manifold(NamedTuple):
    """Estimate of the set in which features lie: balls around them, each as far as its k-th nearest neighbour.

    Kynkäänniemi et al. (2019), section 2.

    Attributes:
        centres: features, (n, features) float64.
        radii: distance of each to its k-th nearest neighbour among the others, (n,).
    """

    centres: Tensor
    radii: Tensor

    @classmethod
    def of(cls, features: Tensor, k: int = NEIGHBOURS) -> "Manifold":
        """Estimate from features (n, features); n must be above k."""
        parts = features.split(max(1, MAX_PAIRS // len(features)))
        # The nearest of all is the feature itself.
        nearest = [torch.cdist(part, features).topk(k + 1, largest=False).values[:, -1] for part in parts]
        return cls(features, torch.cat(nearest))

    def share_within(self, features: Tensor) -> float:
        """Share of features (m, features) that are in one of the balls at least: equation 1, averaged."""
        parts = features.split(max(1, MAX_PAIRS // len(self.centres)))
        within = [(torch.cdist(part, self.centres) <= self.radii).any(dim=1) for part in parts]
        return torch.cat(within).double().mean().item()


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Squared Fréchet distance of the normal distributions with the means and covariances of two sets of features.

    Dowson & Landau (1982); of features of a classifier: Heusel et al. (2017). It is biased upwards, the more the fewer
    features there are, so only distances of the same number compare.

    Args:
        first, second: (n, features) and (m, features), float64.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    if not (first.isfinite().all() and second.isfinite().all()):
        return math.nan  # some solvers of eigenvalues end the process
    features = nn.Identity()  # they are computed already
    features.num_features = first.shape[1]  # type: ignore[assignment]
    metric = FrechetInceptionDistance(features)
    metric.update(second, real=True)
    metric.update(first, real=False)
    return metric.compute().item()


def compare(features: Tensor, reference: Manifold) -> dict[str, float]:
    """The measurements NAMES of features (n, features) against those of test images.

    Precision is the share of samples within the manifold of the images, recall that of images within the manifold of
    the samples: Kynkäänniemi et al. (2019), equation 2.
    """
    measured = (
        frechet_distance(features, reference.centres),
        reference.share_within(features),
        Manifold.of(features).share_within(reference.centres),
    )
    return dict(zip(NAMES, measured, strict=True))


@torch.no_grad()
def sample_images(vae: VAE, labels: Tensor, how: Binarize) -> Tensor:
    """Sample images of the kind that the data are, one per label: (labels, channels, height, width) in [0, 1].

    With grey data, E[x|z] of codes drawn from the prior, which is what is shown of a VAE: pixels drawn independently
    around it would be noisy under every likelihood, as no image is. With binarised data, x drawn from p(x|z): the model
    is one of images in {0, 1}, and grey levels alone would tell its samples from them.

    Args:
        labels: those of the test images that the samples are compared with, for a conditional VAE.
        how: how the data are binarised.
    """
    bar = partial(tqdm, desc="samples", unit="batch", leave=False, disable=None)
    if how is Binarize.none:
        return sample(vae, len(labels), EVALUATION_SEED, labels=labels if vae.classes else None, show_progress=bar)[1]
    codes = vae.prior.sample(len(labels), torch.Generator().manual_seed(EVALUATION_SEED))
    draws = torch.rand(len(labels), *vae.image_shape, generator=torch.Generator().manual_seed(EVALUATION_SEED))
    batches = zip(*(values.to(vae.device).split(BATCH_SIZE) for values in (codes, draws, labels)), strict=True)
    images = [
        vae.likelihood.sample_binary(vae.decode_parameters(z, given if vae.classes else None), part).cpu()
        for z, part, given in bar(list(batches))
    ]
    return torch.cat(images)


def sample_values(run: OpenRun, data: "ImageDataModule", count: int) -> dict[str, float | str]:
    """Measure `count` samples against as many test images.

    Args:
        data: its images, without a validation split, so that all runs are measured in the same features.
        count: see `check_count`.

    Returns:
        - `test/frechet_distance`, `test/precision`, `test/recall`;
        - `train/…`, the same of as many training images in place of samples;
        - `sample_count`;
        - `feature_classifier` and `feature_classifier_accuracy`: which classifier, and its accuracy on test images;
        - `sample_digest`: what `finished_sample_values` recognises the estimate by.

    Raises:
        UnwritableError: the classifier cannot be kept.
    """
    train, test = data.fixed("train"), data.fixed("test")
    (images, labels), (others, _) = _chosen(test, count), _chosen(train, count)
    classifier, accuracy = kept = feature_classifier(train, test, len(data.classes))
    samples = sample_images(run.vae, labels, data.binarize)
    values: dict[str, float | str] = {}
    with tqdm(total=3, desc="sample quality", leave=False, disable=None) as bar:
        reference = Manifold.of(classifier.features(images))
        bar.update()
        for split, compared in {"test": samples, "train": others}.items():
            measured = compare(classifier.features(compared), reference)
            values |= {f"{split}/{name}": value for name, value in measured.items()}
            bar.update()
    return values | {
        "sample_count": count,
        "feature_classifier": kept.name,
        "feature_classifier_accuracy": accuracy,
        "sample_digest": _digest(run.vae, test, count),
    }


def finished_sample_values(file: Path, run: OpenRun, data: "ImageDataModule") -> dict[str, float | str]:
    """The values of `sample_values` in an earlier evaluation.json of this model and these images; empty if none."""
    try:
        earlier = json.loads(read_text(file))
        if earlier["sample_digest"] != _digest(run.vae, data.fixed("test"), earlier["sample_count"]):
            return {}
        numbers = [*(f"{split}/{name}" for split in ("test", "train") for name in NAMES), "feature_classifier_accuracy"]
        return {
            **{name: float(earlier[name]) for name in numbers},
            **{name: str(earlier[name]) for name in ("feature_classifier", "sample_digest")},
            "sample_count": int(earlier["sample_count"]),
        }
    except Exception:  # a damaged file can raise anything
        return {}


def check_count(count: int, data: "ImageDataModule", name: str) -> None:
    """Raise SettingsError if `count` samples cannot be compared with as many test images and training images."""
    most = min(len(data.train_split[0]), len(data.test_split[0]))
    if not NEIGHBOURS < count <= most:
        raise SettingsError(
            f"samples.count={count}: as many samples are compared with as many test images, of which {name} has "
            f"{most:,}; it must be 0, or from {NEIGHBOURS + 1} to {most}."
        )


def _chosen(split: tuple[Tensor, Tensor], count: int) -> tuple[Tensor, Tensor]:
    """`count` images of a split at random, with their labels: the first ones of MNIST's test images are easier."""
    images, labels = split
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(EVALUATION_SEED))[:count]
    return images[order], labels[order]


def _digest(vae: VAE, test: tuple[Tensor, Tensor], count: int) -> str:
    return digest(f"samples drawn from p(x|z) {count} {EVALUATION_SEED}", (*vae.state_dict().values(), *test))
