"""This project's loggers, and how a picture is logged by any logger.

When a run is resumed, what was logged after its last checkpoint is dropped, since it is logged again.
"""

import csv
import io
import shutil
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.nn import functional
from torch.utils.tensorboard.summary import hparams

from mnist_vae.utils.io import write_atomically

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
    def write_headline(self, headline: dict[str, Any], metrics: Mapping[str, float], step: int) -> None:
        """Write the hyperparameters that identify the run, and the final metrics, for the tab HParams."""
        for summary in hparams(headline, _by_term(metrics)):
            self.experiment.file_writer.add_summary(summary, step)

    @rank_zero_only
    def _write_layout(self) -> None:
        """Charts that hold training, validation and test in one, for the tab Custom Scalars."""
        charts = {name: ["Multiline", [f"^{name}/({'|'.join(SPLITS)})$"]] for name in TERMS}
        steps = {name: ["Multiline", [f"^train/{name}_step$"]] for name in ("loss", "gradient_norm", "beta")}
        self.experiment.add_custom_scalars({"nats per image": charts, "within epochs": steps})

    @rank_zero_only
    def write_projector(self, means: Tensor, images: Tensor, names: list[str], step: int) -> None:
        """Codes for the tab Projector, with their images as thumbnails.

        Args:
            means: (n, latent_dim).
            images: (n, channels, height, width) in [0, 1].
            names: n class names.
        """
        # The projector shows nothing of codes with fewer than three dimensions.
        means = functional.pad(means, (0, max(0, PROJECTOR_AXES - means.shape[1])))
        # What an earlier try at the run's end left would make torch print a warning.
        shutil.rmtree(Path(self.log_dir) / f"{step:05d}", ignore_errors=True)
        self.experiment.add_embedding(means, names, images, global_step=step, tag="posterior_means")

    @rank_zero_only
    def save(self) -> None:
        """Write everything logged so far to the event file."""
        self.experiment.flush()

    def finalize(self, status: str) -> None:
        """Lightning calls it after fitting and again after testing, and more is to be logged after both."""
        self.save()

    @rank_zero_only
    def close(self) -> None:
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


class StepsCSV(Logger):
    """Rows `step,name,value` in `<folder>/steps.csv`.

    Args:
        folder: the run's folder.
        last_step: the last step to keep of what an earlier process logged here; -1 for none.
    """

    HEADER = ("step", "name", "value")

    def __init__(self, folder: str, last_step: int = -1) -> None:
        super().__init__()
        self.path = Path(folder) / "steps.csv"
        self.rows: list[tuple[int, str, float]] = []
        self._start(last_step)

    name = "csv"
    version = ""

    @rank_zero_only
    def _start(self, last_step: int) -> None:
        kept = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                # A killed process may have left half a line, which has no third field or no number in the first.
                rows = [row for row in csv.reader(file) if len(row) == 3 and row[0].isdigit()]
            kept = [row for row in rows if int(row[0]) <= last_step]
        write_atomically(self.path, "".join(",".join(row) + "\n" for row in (self.HEADER, *kept)).encode())

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows += [(int(step or 0), name, float(value)) for name, value in metrics.items()]

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Hyperparameters are in the run's .hydra/config.yaml already."""

    @rank_zero_only
    def save(self) -> None:
        """Append what was logged since the last call."""
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(self.rows)
        self.rows = []


def takes_pictures(logger: Logger) -> bool:
    """Whether `log_picture` works with this logger."""
    return isinstance(logger, TensorBoardLogger) or hasattr(logger, "log_image")


@rank_zero_only
def log_picture(logger: Logger, tag: str, content: bytes, step: int) -> None:
    """Log the contents of a PNG file: to TensorBoard as it is, to other loggers by their method `log_image`."""
    if isinstance(logger, TensorBoardLogger):
        width, height = struct.unpack(">II", content[16:24])  # PNG's header chunk
        image = Summary.Image(height=height, width=width, encoded_image_string=content)
        summary = Summary(value=[Summary.Value(tag=tag, image=image)])
        logger.experiment.file_writer.add_summary(summary, step)
    elif hasattr(logger, "log_image"):
        logger.log_image(key=tag, images=[Image.open(io.BytesIO(content), formats=["PNG"])], step=step)


def _by_term(metrics: Mapping[str, float]) -> dict[str, float]:
    """The same metrics, `train/elbo` as `elbo/train`."""
    names = {f"{split}/{term}": f"{term}/{split}" for split in SPLITS for term in TERMS}
    return {names.get(name, name): value for name, value in metrics.items()}
