"""Figures of a run: the data of each, and which figures apply to the run."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mnist_vae import figures
from mnist_vae.analysis import latent, metrics
from mnist_vae.analysis.encoding import encode_images
from mnist_vae.figures.png import read_png, write_figure
from mnist_vae.figures.sample_images import SAMPLE_SEED, SampleImages
from mnist_vae.figures.sweeps import escape
from mnist_vae.models.posteriors import Posterior, mapped
from mnist_vae.models.priors import StandardNormal, VampPrior
from mnist_vae.models.vae import VAE
from mnist_vae.utils.errors import first_line
from mnist_vae.utils.io import write_atomically
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.text import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

MANIFOLD = 20  # images per side
MAX_POINTS = 10_000  # of a scatter plot
PRIOR_SAMPLES = 20_000  # from which lines around the prior are drawn
CODES = 10  # samples of each label of a conditional VAE
MAX_TRAVERSALS = 10
POSTERIOR_SAMPLES = 64
POSITIONS = torch.linspace(-3, 3, 13)
STEPS = 9  # of an interpolation
MAX_FRAMES = 100  # of an animation
CAPTION = 36  # height in pixels of a frame's caption
WHITE = 0.99  # quantile of the pseudo-inputs' grey levels that is shown as white; most are dark
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
        return self.named(self.sample_images.labels)

    @property
    def given_classes(self) -> list[str]:
        """Names of the labels that the model is conditioned on; empty for an unconditional one."""
        return self.named(range(self.vae.classes))

    @property
    def label(self) -> str:
        """The label of the first test image, for a title; empty for an unconditional model."""
        return f", label {self.named(self.labels[:1].tolist())[0]}" if self.vae.classes else ""

    def named(self, labels: Iterable[int]) -> list[str]:
        """Names of labels; a label without one is its own name."""
        return [self.names[label] if label < len(self.names) else str(label) for label in labels]

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
    images, given = run.sample_images, run.given_classes
    elbo = run.test.get("test/elbo")
    score = "" if elbo is None else f": test ELBO {number(elbo)} nats"
    first_samples = images.samples[: 2 * len(given or run.classes)].numpy()
    pairs = images.originals.numpy(), images.reconstructions.numpy()
    return figures.results(*pairs, first_samples, run.classes, run.title + score, given)


def samples(run: RunSummary) -> "Figure":
    """100 samples from the prior, or the same CODES under every label, with a fixed seed."""
    generator, given = torch.Generator().manual_seed(SAMPLE_SEED), run.given_classes
    codes = run.vae.prior.sample(CODES if given else 100, generator)
    if not given:
        images = latent.decode(run.vae, codes, generator=generator)
        return figures.samples(images.numpy(), title=f"{run.title}\nsamples from the prior")
    images = latent.decode(run.vae, codes.expand(len(given), -1, -1), torch.arange(len(given))[:, None]).flatten(0, 1)
    title = f"{run.title}\nsamples from the prior: a row for each label, a column for each code"
    return figures.samples(images.numpy(), CODES, title, given)


def curves(run: RunSummary) -> "Figure | None":
    """Learning curves of the ELBO and its terms, if an epoch is complete."""
    return figures.curves(run.rows, run.test, run.title) if run.rows else None


def latent_space(run: RunSummary) -> "Figure":
    """Posterior means by class."""
    means, labels = run.posterior.mean[:MAX_POINTS], run.labels[:MAX_POINTS].numpy()
    title = f"{run.title}\nposterior means of {len(means):,} test images"
    return figures.latent_space(means.numpy(), labels, run.named(range(labels.max() + 1)), title, _prior(run.vae))


def _prior(vae: VAE) -> np.ndarray | Literal["standard_normal"]:
    """The prior as figures.latent_space takes it."""
    if isinstance(vae.prior, StandardNormal):
        return "standard_normal"
    return vae.prior.sample(PRIOR_SAMPLES, torch.Generator().manual_seed(SAMPLE_SEED)).cpu().numpy()


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
    nats = number(float(kl.sum()), 1)
    title = f"{title}\nKL of each latent dimension, {nats} nats in all; {int(active.sum())} of {len(kl)} are active"
    return figures.kl_per_dimension(kl.numpy(), active.numpy(), title, numbered)


def manifold(run: RunSummary) -> "Figure | None":
    """Manifold of the decoder, if there are two latent dimensions."""
    if run.vae.latent_dim != 2:
        return None
    grid = latent.manifold(run.vae, MANIFOLD, run.labels[0])
    title = f"{run.title}\ndecoded codes, equally spaced in the prior's probability{run.label}"
    return figures.manifold(grid.numpy(), title, latent.prior_grid(run.vae, MANIFOLD).numpy())


def traversals(run: RunSummary) -> "Figure":
    """Latent traversals of the most active dimensions from the code of one test image."""
    dimensions = latent.most_active_dimensions(run.posterior.mean, MAX_TRAVERSALS)
    names = {j: f"z{str(j + 1).translate(SUBSCRIPTS)}" for j in dimensions}
    kl = run.vae.prior.kl_per_dimension(run.posterior)
    if kl is not None:
        nats = kl.mean(dim=0).tolist()
        dimensions.sort(key=lambda j: -nats[j])
        names = {j: f"{name}, {number(float(nats[j]))} nats" for j, name in names.items()}
    scale = latent.aggregate_std(run.posterior)
    images = latent.traversals(run.vae, run.posterior.mean[0], dimensions, scale, POSITIONS, run.labels[0])
    what = "one dimension at a time" + (", with its KL" if kl is not None else ", most active first")
    title = f"{run.title}\n{what}; offsets in standard deviations of q(z){run.label}"
    return figures.traversals(images.numpy(), [names[j] for j in dimensions], POSITIONS.tolist(), title)


def interpolations(run: RunSummary) -> "Figure":
    """Interpolations from an image of each class to an image of the next."""
    first, last = run.nth_of_each_class(0), run.nth_of_each_class(1).roll(-1)
    means = run.posterior.mean
    images = latent.interpolations(run.vae, means[first], means[last], STEPS, run.labels[first])
    start, end = (to_unit(run.images[index]).numpy() for index in (first, last))
    kept = ", decoded with the label of the first image throughout" if run.vae.classes else ""
    title = f"{run.title}\nlinear interpolation between the codes of two images{kept}"
    return figures.interpolations(images.numpy(), start, end, title)


def uncertainty(run: RunSummary) -> "Figure | None":
    """Standard deviation of reconstructions over samples from q(z|x), if it is large enough to be seen."""
    first = run.nth_of_each_class(0)
    posterior, generator = mapped(run.posterior, lambda part: part[first]), torch.Generator().manual_seed(SAMPLE_SEED)
    mean, std = latent.reconstruction_moments(run.vae, posterior, POSTERIOR_SAMPLES, generator, run.labels[first])
    if std.max() < VISIBLE:
        return None
    title = f"{run.title}\nreconstructions over {POSTERIOR_SAMPLES} samples of z from q(z|x)"
    return figures.uncertainty(run.sample_images.originals.numpy(), mean.numpy(), std.numpy(), run.classes, title)


def pseudo_inputs(run: RunSummary) -> "Figure | None":
    """Pseudo-inputs of a VampPrior."""
    if not isinstance(run.vae.prior, VampPrior):
        return None
    images = run.vae.prior.pseudo_inputs.detach()[:100].cpu().numpy()
    largest = max(float(np.quantile(images, WHITE)), 1 / 255)
    title = f"{run.title}\npseudo-inputs of the VampPrior; white is a grey level of {largest:.2f} or more"
    return figures.samples(images, title=title, largest=largest)


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
        # EpochImages draws ten samples per row, with labels in turn.
        note = ", of each label in its column" if run.vae.classes == 10 else ""
        paths += draw_animation(folder, note)
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


def draw_animation(folder: Path, note: str = "") -> list[Path]:
    """Write training.gif, the samples of <folder>/epochs with a frame per epoch, if there are any; return its path.

    Args:
        note: of the samples, for the captions.
    """
    paths = (folder / "epochs").glob("samples_[0-9]*.png")
    epochs = sorted((int(path.stem.rpartition("_")[2]), path) for path in paths)
    chosen = [epochs[round(i)] for i in torch.linspace(0, len(epochs) - 1, min(MAX_FRAMES, len(epochs))).tolist()]
    frames = [
        frame for epoch, path in chosen if (frame := _frame(path, f"samples after epoch {epoch}{note}")) is not None
    ]
    if not frames:
        return []
    # In ms; the last frame is shown longer.
    durations = [*[max(50, min(400, 6000 // len(frames)))] * (len(frames) - 1), 2000]
    path = folder / "training.gif"
    animated = {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 0}
    write_atomically(path, partial(frames[0].save, format="gif", **animated))
    return [path]


def _frame(path: Path, caption: str) -> Any:
    """Image of an epoch, reduced to 8 colours, with the caption below it; None if it is damaged."""
    from matplotlib.font_manager import findfont
    from PIL import Image, ImageDraw, ImageFont

    try:
        image = read_png(path)
    except Exception:  # a damaged picture raises whatever its decoder stumbles on
        return None
    frame = Image.new(image.mode, (image.width, image.height + CAPTION), "white")
    frame.paste(image)
    font = ImageFont.truetype(findfont("DejaVu Sans"), CAPTION * 2 // 3)
    ImageDraw.Draw(frame).text((CAPTION // 4, image.height + CAPTION // 2), caption, "black", font, anchor="lm")
    return frame.quantize(8)
