"""TensorBoard."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor
from torch.nn import functional
from torch.utils.tensorboard.summary import hparams

from mnist_vae.figures.colours import class_colours, to_unit_rgb

TERMS = ("elbo", "reconstruction", "kl", "loss")
SPLITS = ("train", "val", "test")
PROJECTOR_AXES = 3
EVENTS = "events.out.tfevents."


class TensorBoard(TensorBoardLogger):
    """Event files in `<folder>/tensorboard`.

    There the terms of the loss are grouped by term, `elbo/train`, `elbo/val`, `elbo/test`, so that what belongs
    together is side by side and comes first; all else goes by the name it has everywhere.

    Args:
        folder: the run's folder.
        last_step: the last step to keep of what an earlier process logged here; -1 for none.
    """

    def __init__(self, folder: str, last_step: int = -1) -> None:
        _date_before_now(Path(folder, "tensorboard"))
        # purge_step is TensorBoard's own way of dropping what an interrupted process had logged.
        super().__init__(folder, name="", version="tensorboard", default_hp_metric=False, purge_step=last_step + 1)
        self._write_layout()

    @property
    def log_dir(self) -> str:
        """The folder as it is named: Lightning's own property would expand `$HOME` or `~` in the name."""
        return str(Path(self.root_dir, "tensorboard"))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics(_by_term(metrics), step)

    @rank_zero_only
    def log_hyperparams(self, params: Any, metrics: Any = None, step: int | None = None) -> None:
        """Do nothing: the whole config would make the tab HParams unreadable; see `write_headline`."""

    @rank_zero_only
    def write_headline(self, headline: dict[str, Any], step: int) -> None:
        """Write the hyperparameters that identify the run, for the tab HParams.

        The summary that lists an experiment's hyperparameters and metrics is left out: TensorBoard would show the keys
        of the first run for all of them. Without it, it collects those of all runs, ticks the ones that differ, and
        then the first metrics by name, which are `elbo/test`, `elbo/train`, `elbo/val`.
        """
        _, *session = hparams(headline, {})
        for summary in session:
            self.experiment.file_writer.add_summary(summary, step)

    @rank_zero_only
    def _write_layout(self) -> None:
        """Charts for the tab Custom Scalars: a row per term, with a chart each of training, validation and test.

        In one chart the splits of a run would have one colour, since TensorBoard colours by run.
        """
        rows = {name: {_chart(name, split): _line(f"{name}/{split}") for split in SPLITS} for name in TERMS}
        steps = {name: _line(f"train/{name}_step") for name in ("loss", "gradient_norm", "beta")}
        self.experiment.add_custom_scalars(rows | {"within epochs": steps})

    @rank_zero_only
    def write_projector(
        self, means: Tensor, images: Tensor, labels: Sequence[int], classes: Sequence[str], step: int
    ) -> None:
        """Codes for the tab Projector, with their images as thumbnails on the colours of their classes.

        Args:
            means: (n, latent_dim).
            images: (n, channels, height, width) in [0, 1].
            labels: n indices into `classes`.
            classes: names of the classes.
        """
        # The projector shows nothing of codes with fewer than three dimensions.
        means = functional.pad(means, (0, max(0, PROJECTOR_AXES - means.shape[1])))
        # What an earlier try at the run's end left would make torch print a warning.
        shutil.rmtree(Path(self.log_dir) / f"{step:05d}", ignore_errors=True)
        names = [classes[label] for label in labels]
        thumbnails = _on_colours(images, labels, len(classes))
        self.experiment.add_embedding(means, names, thumbnails, global_step=step, tag="posterior_means")

    @rank_zero_only
    def save(self) -> None:
        """Write everything logged so far to the event file."""
        self.experiment.flush()

    def finalize(self, status: str) -> None:
        """Lightning calls it after fitting and again after testing, and more is to be logged after both."""
        self.save()

    @rank_zero_only
    def close(self, failed: bool = False) -> None:
        """End the thread that writes the event file."""
        self.experiment.close()


@rank_zero_only
def _date_before_now(folder: Path) -> None:
    """Rename the event files of earlier processes if one of them is of this second, or later, the clock being set back.

    TensorBoard reads event files in the order of their names, which begin with the time in seconds.
    """
    files = sorted(folder.glob(f"{EVENTS}*"))
    if files and files[-1].name >= f"{EVENTS}{int(time.time()):010d}":
        for number, path in enumerate(files):
            rest = path.name.removeprefix(EVENTS).partition(".")[2]
            path.rename(path.with_name(f"{EVENTS}{number:010d}.{rest}"))


def _by_term(metrics: Mapping[str, float]) -> dict[str, float]:
    """The same metrics, `train/elbo` as `elbo/train`."""
    names = {f"{split}/{term}": f"{term}/{split}" for split in SPLITS for term in TERMS}
    return {names.get(name, name): value for name, value in metrics.items()}


def _chart(term: str, split: str) -> str:
    """A chart's title."""
    return f"{term}, {split}"


def _line(tag: str) -> list[Any]:
    """A chart with one line per run."""
    return ["Multiline", [f"^{tag}$"]]


def _on_colours(images: Tensor, labels: Sequence[int], classes: int) -> Tensor:
    """Images (n, channels, height, width) in [0, 1], with the colour of each one's class in the place of black.

    The projector has no setting for points coloured by label, and shows thumbnails as they are.
    """
    colours = torch.tensor(to_unit_rgb(class_colours(classes)))[list(labels), :, None, None]
    return colours + (1 - colours) * images
