"""A small classifier of a data set's labels, in whose features samples are compared with images.

It is trained once per data set, on the CPU, and kept in a folder of the user's, so that all runs on these images are
measured in the same features. On another machine its weights are slightly others, and so are the measurements.
"""

import copy
import io
import os
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from mnist_vae.analysis.digest import digest
from mnist_vae.data.batches import EVALUATION_BATCH, EVALUATION_SEED
from mnist_vae.runs.checkpoints import read_checkpoint
from mnist_vae.utils.errors import UnwritableError
from mnist_vae.utils.io import locked, write_atomically
from mnist_vae.utils.pixels import to_unit

FEATURES = 64
STEPS, BATCH, PEAK_RATE = 1000, 128, 5e-3  # of training: two epochs of MNIST

Split = tuple[Tensor, Tensor]  # uint8 images (n, channels, height, width), and labels (n,)


class FeatureClassifier(nn.Module):
    """Two convolutions and a hidden layer, whose activations are the features.

    Args:
        image_shape: channels, height, width.
        classes: number of labels.
    """

    def __init__(self, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.hidden = nn.Sequential(
            nn.Conv2d(channels, 8, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(8, 32, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * -(-height // 4) * -(-width // 4), FEATURES),
            nn.ReLU(),
        )
        self.logits = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (images, classes) of images in [0, 1]."""
        return self.logits(self.hidden(x))

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Features of images, uint8 or in [0, 1], (images, FEATURES) float64."""
        return torch.cat([self.hidden(to_unit(batch)).double() for batch in images.split(EVALUATION_BATCH)])

    @torch.no_grad()
    def accuracy(self, split: Split) -> float:
        """Share of a split's images whose label is predicted."""
        predicted = [self(to_unit(batch)).argmax(dim=1) for batch in split[0].split(EVALUATION_BATCH)]
        return (torch.cat(predicted) == split[1]).double().mean().item()


class Kept(NamedTuple):
    """A trained classifier, and the accuracy on the test images with which it was kept, in [0, 1]."""

    classifier: FeatureClassifier
    accuracy: float

    @property
    def name(self) -> str:
        """Twelve characters that differ for other weights; measurements compare only in the same features."""
        return digest("", self.classifier.state_dict().values())[:12]


def cache_folder() -> Path:
    """The user's folder of files that can be made again: $XDG_CACHE_HOME/mnist-vae, by default ~/.cache/mnist-vae."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mnist-vae"


def feature_classifier(train: Split, test: Split, classes: int) -> Kept:
    """Read the classifier of these images from the cache folder, or train it and keep it there.

    A damaged file, or another's, counts as absent.

    Raises:
        UnwritableError: it cannot be kept; nothing was trained.
    """
    channels, height, width = train[0].shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(EVALUATION_SEED)
        classifier = FeatureClassifier((channels, height, width), classes)
    settings = f"{classifier} {STEPS} {BATCH} {PEAK_RATE} {EVALUATION_SEED}"
    made_of = digest(settings, (*train, *test))
    file = cache_folder() / f"features_{made_of[:16]}.pt"
    if kept := _read(file, made_of, classifier):  # without a lock, which a read-only folder does not allow
        return kept
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file.with_suffix(".lock"), file, wait=True):
            return _read(file, made_of, classifier) or _train(classifier, train, test, file, made_of)
    except OSError as error:
        raise UnwritableError(error, error.filename or file, "choose another folder by XDG_CACHE_HOME=…") from error


def _read(file: Path, made_of: str, untrained: FeatureClassifier) -> Kept | None:
    """Load a copy of the classifier with the weights in the file, and its accuracy; None if they are not there."""
    try:
        content = read_checkpoint(file)
        if content["made_of"] != made_of:
            return None
        classifier = copy.deepcopy(untrained)
        classifier.load_state_dict(content["weights"])
        return Kept(classifier, float(content["accuracy"]))
    except Exception:  # a damaged file can raise anything
        return None


def _train(classifier: FeatureClassifier, train: Split, test: Split, file: Path, made_of: str) -> Kept:
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    optimizer = torch.optim.Adam(classifier.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=STEPS)
    images, labels = train
    for _ in tqdm(range(STEPS), "feature classifier", unit="step", leave=False, disable=None):
        batch = torch.randint(len(images), (BATCH,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(classifier(to_unit(images[batch])), labels[batch]).backward()
        optimizer.step()
        schedule.step()
    kept = Kept(classifier, classifier.accuracy(test))
    buffer = io.BytesIO()
    torch.save({"made_of": made_of, "accuracy": kept.accuracy, "weights": classifier.state_dict()}, buffer)
    write_atomically(file, buffer.getvalue())
    return kept
