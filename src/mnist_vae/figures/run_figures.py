"""A run's figures: what goes into each, and which of them a run has."""

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
from mnist_vae.data.images import to_unit
from mnist_vae.figures.png import write_figure
from mnist_vae.figures.sample_images import SAMPLE_SEED, SampleImages, labels_in_turn
from mnist_vae.models.posteriors import Posterior, mapped
from mnist_vae.models.priors import VampPrior
from mnist_vae.models.vae import VAE
from mnist_vae.utils.errors import first_line
from mnist_vae.utils.io import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

MANIFOLD = 20  # tiles on a side
POINTS = 3000  # in a scatter plot; more would only hide one another
ROWS = 10  # of dimensions or pairs
DRAWS = 64
POSITIONS = torch.linspace(-3, 3, 13)
STEPS = 9  # of an interpolation
FRAMES = 100  # of an animation
VISIBLE = 2 / 255  # difference of a pixel
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")  # matplotlib's own take it half a second to set up


class RunSummary:
    """What the figures of one run are made from; each part is computed when the first figure asks for it.

    Args:
        title: what the run is, in a few words.
        vae: its model.
        split: test images, uint8 (n, channels, height, width), and their labels (n,).
        classes: the names of the labels 0, 1, …
        rows: its metrics.csv so far.
        test: its final metrics, as far as there are any.
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
        self.title = title.replace("$", r"\$")  # matplotlib would read formulas

    @cached_property
    def gallery(self) -> SampleImages:
        return SampleImages.of(self.vae, (self.images, self.labels))

    @cached_property
    def posterior(self) -> Posterior:
        """q(z|x) of all test images."""
        return encode_images(self.vae, self.images, self.labels)

    @property
    def classes(self) -> list[str]:
        """The names of the classes that the test images have, in the order of their labels."""
        return [self.names[label] if label < len(self.names) else str(label) for label in self.gallery.labels]

    @property
    def places(self) -> Tensor:
        """Each test image's class, as its place in `classes`, (n,)."""
        return torch.searchsorted(torch.tensor(self.gallery.labels), self.labels)

    def nth_of_each_class(self, n: int) -> Tensor:
        """Indices of the n-th test image of each class (its last one, if it has fewer), in the classes' order."""
        places = [(self.labels == label).nonzero()[:, 0] for label in self.gallery.labels]
        return torch.stack([place[min(n, len(place) - 1)] for place in places])


def results(run: RunSummary) -> "Figure":
    """Originals, reconstructions, samples."""
    gallery, score = run.gallery, f": test ELBO {run.test['test/elbo']:.2f} nats" if "test/elbo" in run.test else ""
    drawn = gallery.samples[: 2 * len(run.classes)].numpy()
    pairs = gallery.originals.numpy(), gallery.reconstructions.numpy()
    return figures.results(*pairs, drawn, run.classes, run.title + score)


def samples(run: RunSummary) -> "Figure":
    """A hundred samples from fixed noise."""
    codes = run.vae.prior.sample(100, torch.Generator().manual_seed(SAMPLE_SEED))
    drawn = latent.decode(run.vae, codes, labels_in_turn(run.vae, len(codes)))
    return figures.samples(drawn.numpy(), title=f"samples from the prior: {run.title}")


def curves(run: RunSummary) -> "Figure | None":
    """The loss's terms over epochs."""
    return figures.curves(run.rows, run.test, run.title) if run.rows else None


def latent_space(run: RunSummary) -> "Figure":
    """Posterior means by class."""
    title = f"posterior means of {min(POINTS, len(run.labels)):,} test images: {run.title}"
    return figures.latent_space(run.posterior.mean[:POINTS].numpy(), run.places[:POINTS].numpy(), run.classes, title)


def kl_per_dimension(run: RunSummary) -> "Figure | None":
    """Which dimensions carry how much, if the KL is a sum over dimensions."""
    return kl_bars(run.vae, run.posterior, run.title)


def kl_bars(vae: VAE, posterior: Posterior, title: str, numbered: bool = True) -> "Figure | None":
    """The bars of `kl_per_dimension` for any images' posteriors."""
    shares = vae.prior.kl_per_dimension(posterior)
    if shares is None:
        return None
    kl = shares.mean(dim=0)
    active = metrics.active_dimensions(posterior.mean)
    title = f"{int(active.sum())} active units of {len(kl)}, {kl.sum():.1f} nats: {title}"
    return figures.kl_per_dimension(kl.numpy(), active.numpy(), title, numbered)


def manifold(run: RunSummary) -> "Figure | None":
    """The decoded plane, for two latent dimensions."""
    if run.vae.latent_dim != 2:
        return None
    grid = latent.manifold(run.vae, MANIFOLD, run.labels[0])
    label = f", label {run.classes[run.places[0]]}" if run.vae.classes else ""
    return figures.manifold(grid.numpy(), f"the plane of codes through the prior's quantiles{label}: {run.title}")


def traversals(run: RunSummary) -> "Figure":
    """What the most active dimensions do, around the code of one test image."""
    dimensions = latent.most_active(run.posterior.mean, ROWS)
    scale = latent.aggregate_deviation(run.posterior)
    images = latent.traversals(run.vae, run.posterior.mean[0], dimensions, scale, POSITIONS, run.labels[0])
    title = f"one dimension at a time, most active first, in standard deviations of q(z): {run.title}"
    names = [f"z{str(j + 1).translate(SUBSCRIPTS)}" for j in dimensions]
    return figures.traversals(images.numpy(), names, POSITIONS.tolist(), title)


def interpolations(run: RunSummary) -> "Figure":
    """From an image of each class to one of the next."""
    first, last = run.nth_of_each_class(0), run.nth_of_each_class(1).roll(-1)
    means = run.posterior.mean
    images = latent.interpolations(run.vae, means[first], means[last], STEPS, run.labels[first])
    ends = [to_unit(run.images[index]).numpy() for index in (first, last)]
    return figures.interpolations(images.numpy(), ends[0], ends[1], f"straight lines between codes: {run.title}")


def uncertainty(run: RunSummary) -> "Figure | None":
    """Spread of the reconstructions over draws of the code, unless there is none."""
    first = run.nth_of_each_class(0)
    posterior, generator = mapped(run.posterior, lambda part: part[first]), torch.Generator().manual_seed(SAMPLE_SEED)
    mean, deviation = latent.spread(run.vae, posterior, DRAWS, generator, run.labels[first])
    if deviation.max() < VISIBLE:
        return None
    title = f"reconstructions over {DRAWS} draws of z from q(z|x): {run.title}"
    return figures.uncertainty(run.gallery.originals.numpy(), mean.numpy(), deviation.numpy(), run.classes, title)


def pseudo_inputs(run: RunSummary) -> "Figure | None":
    """What a VampPrior has learned to imagine."""
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
    """Draw every figure that the run has into `folder`, and the animation of its epochs; return the files.

    One that can't be drawn is told and left out: no picture is worth a run that never completes.
    """
    drawn = []
    for make in tqdm(FIGURES, "drawing", leave=False, unit="figure", disable=None):
        path = folder / f"{make.__name__}.png"
        with _left_out_on_failure(path):
            figure = make(run)
            if figure is None:
                path.unlink(missing_ok=True)  # of another checkpoint
                continue
            write_figure(path, figure)
            drawn.append(path)
    with _left_out_on_failure(folder / "training.gif"):
        drawn += draw_animation(folder)
    return drawn


@contextmanager
def _left_out_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise  # there is no room, or no permission: that is not the figure's fault
    except Exception as error:
        log.warning(f"{path.name} could not be drawn: {first_line(error)}")


def draw_animation(folder: Path) -> list[Path]:
    """training.gif: the samples of folder/epochs, one frame for each drawn epoch; nothing if there are none."""
    pictures = (folder / "epochs").glob("samples_[0-9]*.png")
    epochs = sorted((int(path.stem.rpartition("_")[2]), path) for path in pictures)
    chosen = [epochs[round(i)] for i in torch.linspace(0, len(epochs) - 1, min(FRAMES, len(epochs))).tolist()]
    frames = [frame for epoch, path in chosen if (frame := _frame(path, epoch)) is not None]
    if not frames:
        return []
    durations = [*[max(50, min(400, 6000 // len(frames)))] * (len(frames) - 1), 2000]  # ms; the last one stays
    path = folder / "training.gif"
    animated = {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 0}
    write_atomically(path, partial(frames[0].save, format="gif", **animated))
    return [path]


def _frame(path: Path, epoch: int) -> Any:
    """An epoch's picture, two thirds as large, in few greys, with the epoch's number below; None if it is damaged."""
    from PIL import Image, ImageDraw

    try:
        image: Any = Image.open(path)
        image.load()
    except OSError:
        return None
    small = image.resize((image.width * 2 // 3, image.height * 2 // 3), Image.Resampling.BOX)
    frame = Image.new(small.mode, (small.width, small.height + 16), "white")
    frame.paste(small)
    ImageDraw.Draw(frame).text((2, small.height + 2), f"epoch {epoch}", fill="black")
    return frame.quantize(12)
