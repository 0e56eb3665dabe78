"""Figures of a run: the data of each, and which figures apply to the run."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from mnist_vae import figures
from mnist_vae.analysis import latent, metrics
from mnist_vae.analysis.encoding import encode_images
from mnist_vae.figures.png import read_png, write_figure
from mnist_vae.figures.sample_images import SAMPLE_SEED, SampleImages, labels_in_turn
from mnist_vae.figures.sweeps import escape
from mnist_vae.models.posteriors import Posterior, mapped
from mnist_vae.models.priors import VampPrior
from mnist_vae.models.vae import VAE
from mnist_vae.utils.errors import first_line
from mnist_vae.utils.io import write_atomically
from mnist_vae.utils.pixels import to_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

MANIFOLD = 20  # images per side
MAX_POINTS = 3000  # of a scatter plot; more would overlap
MAX_TRAVERSALS = 10
POSTERIOR_SAMPLES = 64
POSITIONS = torch.linspace(-3, 3, 13)
STEPS = 9  # of an interpolation
MAX_FRAMES = 100  # of an animation
VISIBLE = 2 / 255  # smallest standard deviation of a pixel that can be seen
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")  # setting up matplotlib's formulas takes half a second


class RunSummary:
    """Data from which the figures of one run are drawn; encodings and sample images are computed on first access.

    Args:
        title: short description of the run, used in the titles of its figures.
        vae: model of the run.
        split: test images, uint8 (n, channels, height, width), and labels (n,).
        classes: names of the labels 0, 1, …
        rows: rows of metrics.csv.
        test: final metrics; empty before the end of training.
    """

    def __init__(
        self,
        title: str,
        vae: VAE,
        split: tuple[Tensor, Tensor],
        classes: Sequence[str],
        rows: list[dict[str, float]],
        test: Mapping[str, Any],
    ) -> None:
        self.vae, self.rows, self.test = vae, rows, test
        (self.images, self.labels), self.names = split, classes
        self.title = escape(title)

    @cached_property
    def sample_images(self) -> SampleImages:
        """Sample images of the model on the test images."""
        return SampleImages.of(self.vae, (self.images, self.labels))

    @cached_property
    def posterior(self) -> Posterior:
        """q(z|x) of all test images."""
        return encode_images(self.vae, self.images, self.labels)

    @property
    def classes(self) -> list[str]:
        """Names of the classes that occur in the test images, in ascending order of their labels."""
        return [self.names[label] if label < len(self.names) else str(label) for label in self.sample_images.labels]

    @property
    def class_indices(self) -> Tensor:
        """Index in `classes` of each test image's class, (n,)."""
        return torch.searchsorted(torch.tensor(self.sample_images.labels), self.labels)

    def nth_of_each_class(self, n: int) -> Tensor:
        """Indices of the n-th test image of each class, (classes,); of its last one, if it has fewer."""
        indices = [(self.labels == label).nonzero()[:, 0] for label in self.sample_images.labels]
        return torch.stack([of_class[min(n, len(of_class) - 1)] for of_class in indices])


def results(run: RunSummary) -> "Figure":
    """Originals, reconstructions and samples."""
    images = run.sample_images
    score = f": test ELBO {run.test['test/elbo']:.2f} nats" if "test/elbo" in run.test else ""
    first_samples = images.samples[: 2 * len(run.classes)].numpy()
    pairs = images.originals.numpy(), images.reconstructions.numpy()
    return figures.results(*pairs, first_samples, run.classes, run.title + score)


def samples(run: RunSummary) -> "Figure":
    """100 samples from the prior, with a fixed seed."""
    codes = run.vae.prior.sample(100, torch.Generator().manual_seed(SAMPLE_SEED))
    images = latent.decode(run.vae, codes, labels_in_turn(run.vae, len(codes)))
    return figures.samples(images.numpy(), title=f"samples from the prior: {run.title}")


def curves(run: RunSummary) -> "Figure | None":
    """Learning curves of the ELBO and its terms, if an epoch is complete."""
    return figures.curves(run.rows, run.test, run.title) if run.rows else None


def latent_space(run: RunSummary) -> "Figure":
    """Posterior means by class."""
    means, indices = run.posterior.mean[:MAX_POINTS], run.class_indices[:MAX_POINTS]
    title = f"posterior means of {len(means):,} test images: {run.title}"
    return figures.latent_space(means.numpy(), indices.numpy(), run.classes, title)


def kl_per_dimension(run: RunSummary) -> "Figure | None":
    """KL of each latent dimension, if the KL is a sum over dimensions."""
    return kl_bars(run.vae, run.posterior, run.title)


def kl_bars(vae: VAE, posterior: Posterior, title: str, numbered: bool = True) -> "Figure | None":
    """The figure `kl_per_dimension` for posteriors of any images; see figures.kl_per_dimension."""
    image_kl = vae.prior.kl_per_dimension(posterior)
    if image_kl is None:
        return None
    kl = image_kl.mean(dim=0)
    active = metrics.active_dimensions(posterior.mean)
    title = f"{int(active.sum())} active units of {len(kl)}, {kl.sum():.1f} nats: {title}"
    return figures.kl_per_dimension(kl.numpy(), active.numpy(), title, numbered)


def manifold(run: RunSummary) -> "Figure | None":
    """Manifold of the decoder, if there are two latent dimensions."""
    if run.vae.latent_dim != 2:
        return None
    grid = latent.manifold(run.vae, MANIFOLD, run.labels[0])
    label = f", label {run.classes[run.class_indices[0]]}" if run.vae.classes else ""
    return figures.manifold(grid.numpy(), f"decoded quantiles of the prior{label}: {run.title}")


def traversals(run: RunSummary) -> "Figure":
    """Latent traversals of the most active dimensions from the code of one test image."""
    dimensions = latent.most_active_dimensions(run.posterior.mean, MAX_TRAVERSALS)
    scale = latent.aggregate_std(run.posterior)
    images = latent.traversals(run.vae, run.posterior.mean[0], dimensions, scale, POSITIONS, run.labels[0])
    title = f"one dimension at a time, most active first, in standard deviations of q(z): {run.title}"
    names = [f"z{str(j + 1).translate(SUBSCRIPTS)}" for j in dimensions]
    return figures.traversals(images.numpy(), names, POSITIONS.tolist(), title)


def interpolations(run: RunSummary) -> "Figure":
    """Interpolations from an image of each class to an image of the next."""
    first, last = run.nth_of_each_class(0), run.nth_of_each_class(1).roll(-1)
    means = run.posterior.mean
    images = latent.interpolations(run.vae, means[first], means[last], STEPS, run.labels[first])
    ends = [to_unit(run.images[index]).numpy() for index in (first, last)]
    return figures.interpolations(images.numpy(), ends[0], ends[1], f"linear interpolation between codes: {run.title}")


def uncertainty(run: RunSummary) -> "Figure | None":
    """Standard deviation of reconstructions over samples from q(z|x), if it is large enough to be seen."""
    first = run.nth_of_each_class(0)
    posterior, generator = mapped(run.posterior, lambda part: part[first]), torch.Generator().manual_seed(SAMPLE_SEED)
    mean, std = latent.reconstruction_moments(run.vae, posterior, POSTERIOR_SAMPLES, generator, run.labels[first])
    if std.max() < VISIBLE:
        return None
    title = f"reconstructions over {POSTERIOR_SAMPLES} samples of z from q(z|x): {run.title}"
    return figures.uncertainty(run.sample_images.originals.numpy(), mean.numpy(), std.numpy(), run.classes, title)


def pseudo_inputs(run: RunSummary) -> "Figure | None":
    """Pseudo-inputs of a VampPrior."""
    if not isinstance(run.vae.prior, VampPrior):
        return None
    images = run.vae.prior.pseudo_inputs.detach()[:100].cpu()
    return figures.samples(images.numpy(), title=f"pseudo-inputs of the VampPrior: {run.title}")


FIGURES: list[Callable[[RunSummary], "Figure | None"]] = [
    results,
    curves,
    samples,
    latent_space,
    kl_per_dimension,
    manifold,
    traversals,
    interpolations,
    uncertainty,
    pseudo_inputs,
]


def draw_all(run: RunSummary, folder: Path) -> list[Path]:
    """Draw all figures that apply to the run, and the animation of its epochs, into `folder`; return their paths.

    An exception in one figure is logged and the figure omitted, so that it does not prevent the run from completing.

    Raises:
        OSError: a file cannot be written.
    """
    paths = []
    for make in tqdm(FIGURES, "drawing", leave=False, unit="figure", disable=None):
        path = folder / f"{make.__name__}.png"
        with _log_failure(path):
            figure = make(run)
            if figure is None:
                path.unlink(missing_ok=True)  # it may be left over from another checkpoint
                continue
            write_figure(path, figure)
            paths.append(path)
    with _log_failure(folder / "training.gif"):
        paths += draw_animation(folder)
    return paths


@contextmanager
def _log_failure(path: Path) -> Iterator[None]:
    """Log exceptions other than OSError instead of raising them."""
    try:
        yield
    except OSError:
        raise  # such as no space or no permission, which concerns all files
    except Exception as error:
        log.warning(f"{path.name} could not be drawn: {first_line(error)}")


def draw_animation(folder: Path) -> list[Path]:
    """Write training.gif, the samples of <folder>/epochs with a frame per epoch, if there are any; return its path."""
    paths = (folder / "epochs").glob("samples_[0-9]*.png")
    epochs = sorted((int(path.stem.rpartition("_")[2]), path) for path in paths)
    chosen = [epochs[round(i)] for i in torch.linspace(0, len(epochs) - 1, min(MAX_FRAMES, len(epochs))).tolist()]
    frames = [frame for epoch, path in chosen if (frame := _frame(path, epoch)) is not None]
    if not frames:
        return []
    # In ms; the last frame is shown longer.
    durations = [*[max(50, min(400, 6000 // len(frames)))] * (len(frames) - 1), 2000]
    path = folder / "training.gif"
    animated = {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 0}
    write_atomically(path, partial(frames[0].save, format="gif", **animated))
    return [path]


def _frame(path: Path, epoch: int) -> Any:
    """Image of an epoch, scaled by 2/3 and reduced to 12 colours, with the epoch below it; None if it is damaged."""
    from PIL import Image, ImageDraw

    try:
        image = read_png(path)
    except Exception:  # a damaged picture raises whatever its decoder stumbles on
        return None
    small = image.resize((image.width * 2 // 3, image.height * 2 // 3), Image.Resampling.BOX)
    frame = Image.new(small.mode, (small.width, small.height + 16), "white")
    frame.paste(small)
    ImageDraw.Draw(frame).text((2, small.height + 2), f"epoch {epoch}", fill="black")
    return frame.quantize(12)
