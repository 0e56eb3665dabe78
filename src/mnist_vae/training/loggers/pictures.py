"""How a picture is logged by any logger."""

import io
import struct

from PIL import Image
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from tensorboard.compat.proto.summary_pb2 import Summary


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
