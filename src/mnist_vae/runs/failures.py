"""The error that ended a run, noted in its folder."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mnist_vae.config.error_messages import describe
from mnist_vae.config.overrides import task_overrides
from mnist_vae.runs.folder import RunFolder
from mnist_vae.utils.errors import DataError, RunFolderError, SettingsError


@contextmanager
def failures_noted(folder: Path, hydra: Any) -> Iterator[None]:
    """Write the error that ends a run to its failed.json, and raise it.

    Args:
        hydra: Hydra's own config.
    """
    try:
        yield
    except (SettingsError, DataError, RunFolderError):
        raise  # it comes before the run begins: the folder may be another run's
    except Exception as error:
        with suppress(OSError):  # the disk may be full
            RunFolder(folder).write_failure(describe(error), task_overrides(hydra))
        raise
