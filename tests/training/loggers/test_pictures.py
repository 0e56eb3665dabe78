from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytorch_lightning.loggers import CSVLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mnist_vae.figures.png import png
from mnist_vae.training.loggers import StepsCSV, TensorBoard, log_picture, takes_pictures

PICTURE = np.arange(24, dtype=np.uint8).reshape(4, 6, 1)


class FakeLogger(CSVLogger):
    """Takes pictures as Lightning's WandbLogger does."""

    def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
        self.logged = (key, images, step)


def test_a_picture_gets_to_a_logger_with_log_image(tmp_path: Path) -> None:
    logger = FakeLogger(str(tmp_path))
    assert takes_pictures(logger) and not takes_pictures(StepsCSV(str(tmp_path)))
    log_picture(logger, "visuals/samples", png(PICTURE), 7)
    key, (image,), step = logger.logged
    assert (key, step) == ("visuals/samples", 7) and np.array_equal(np.asarray(image), PICTURE[:, :, 0])


def test_tensorboard_gets_the_file_as_it_is(tmp_path: Path) -> None:
    logger = TensorBoard(str(tmp_path))
    log_picture(logger, "visuals/samples", png(PICTURE), 7)
    logger.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (event,) = events.Images("visuals/samples")
    assert (event.step, event.width, event.height) == (7, 6, 4) and event.encoded_image_string == png(PICTURE)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="cannot identify"):
        log_picture(FakeLogger(str(tmp_path)), "a", b"GIF89a not much", 0)
