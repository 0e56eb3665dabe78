"""Filter Lightning's messages on the console."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Messages of Lightning that repeat what the run's own lines say.
ROUTINE = (
    "GPU available",
    "TPU available",
    "HPU available",
    "💡",
    "Loading `train_dataloader`",
    "`Trainer.",
    "Running in `fast_dev_run`",
    "Restor",
    "Found current_model_state",
    "`weights_only`",
    "Using ",
    "LOCAL_RANK",
    "-" * 100 + "\ndistributed_backend",
    "\nDetected KeyboardInterrupt",
)
WARNINGS = (
    ".*does not have many workers.*",  # batches are slices of a tensor, which workers would only slow down
    ".*smaller than the logging interval.*",  # small datasets have short epochs
    ".*You requested to overfit but enabled.*",  # as debug=overfit means it
    ".*isinstance\\(treespec, LeafSpec\\).*",
    "IProgress not found",  # of tqdm's bars in notebooks, which are not used
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's routine messages, and its advice that does not hold here, off the console.

    Raises:
        KeyboardInterrupt: Lightning ends on it by SystemExit.
    """
    logger, fabric = logging.getLogger("pytorch_lightning.utilities.rank_zero"), logging.getLogger("lightning_fabric")
    level = fabric.level
    fabric.setLevel(logging.ERROR)  # all of it is routine
    logger.addFilter(_is_not_routine)
    try:
        with warnings.catch_warnings():
            for message in WARNINGS:
                warnings.filterwarnings("ignore", message=message)
            yield
    except SystemExit as stopped:
        raise KeyboardInterrupt from stopped
    finally:
        logger.removeFilter(_is_not_routine)
        fabric.setLevel(level)


def _is_not_routine(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(ROUTINE)
