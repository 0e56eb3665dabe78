"""Train a run from Python."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mnist_vae.config.compose import compose_run
from mnist_vae.config.instantiate import packages_of
from mnist_vae.runs.failures import failures_noted
from mnist_vae.runs.folder import RunFolder, removed_if_empty
from mnist_vae.runs.load import OpenRun, open_run
from mnist_vae.training.train import train as train_config
from mnist_vae.utils.errors import SettingsError, UnwritableError


def train(
    overrides: Sequence[str] = (), folder: str | Path | None = None, config_dir: str | Path | None = None
) -> OpenRun:
    """Train a run, as `python train.py` with these overrides does; return it opened.

    A run that was interrupted in the folder is resumed, and one that is complete is opened.

        run = mnist_vae.train(["model=conv", "latent_dim=16"], folder="outputs/mine")
        run.vae.sample(16)

    Args:
        overrides: `key=value`, as on the command line.
        folder: the run's folder; if None, a new one in outputs/runs (hydra.run.dir).
        config_dir: a folder of config groups of your own, as the flag --config-dir names it.

    Raises:
        UserError: an override, the data or the folder is not right; nothing was started.
        TrainingDiverged: the loss stopped being a finite number.
    """
    words = [overrides] if isinstance(overrides, str) else list(overrides or ())
    cfg, hydra = compose_run(words, folder, config_dir)
    if cfg.trainer.fast_dev_run:
        raise SettingsError(
            "trainer.fast_dev_run: it keeps no run that could be returned; use trainer.limit_train_batches instead."
        )
    path = Path(hydra.run.dir).absolute()
    try:
        with removed_if_empty(path), _logged(path), failures_noted(path, hydra):
            train_config(cfg, path, hydra)
    except OSError as error:
        raise UnwritableError(error, error.filename or path, "choose another folder") from error
    return open_run(path, trust=packages_of(cfg))


@contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """Write the run's log to train.log, and to the console unless logging is configured already."""
    file = logging.FileHandler(RunFolder(folder).subfolder("train.log"), delay=True)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root, log = logging.getLogger(), logging.getLogger("mnist_vae")
    # The root logger's is the one that progress bars are kept apart from.
    added: list[tuple[logging.Logger, logging.Handler]] = [(log, file)]
    if not root.handlers:
        added.append((root, logging.StreamHandler(sys.stdout)))
    level = log.level
    log.setLevel(logging.INFO)
    for logger, handler in added:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, handler in added:
            logger.removeHandler(handler)
        file.close()
        log.setLevel(level)
