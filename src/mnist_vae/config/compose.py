"""Compose the config of a run in Python, as Hydra composes it for a command."""

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from mnist_vae.config import checks, schema
from mnist_vae.config.error_messages import sentence
from mnist_vae.utils.errors import SettingsError, UserError

LOCK = threading.RLock()  # Hydra's state is the process's


def compose_run(
    overrides: Sequence[str], folder: str | Path | None = None, config_dir: str | Path | None = None
) -> tuple[DictConfig, DictConfig]:
    """Compose and check the config of one run.

    Args:
        overrides: `key=value`, as on the command line.
        folder: replaces hydra.run.dir.
        config_dir: a folder of further config groups, as --config-dir names it.

    Returns:
        The run's config, of the schema config.schema.Config and without references; and Hydra's own.

    Raises:
        SettingsError: an override or a value is wrong.
    """
    for word in overrides:
        if not isinstance(word, str) or word.startswith("-"):
            raise SettingsError(f"{word}: an override is text, key=value; a sweep is started by `mnist-vae -m …`.")
    try:
        with _hydra():
            return _checked(_composed(overrides, config_dir), folder)
    except UserError:
        raise
    except Exception as error:  # of Hydra or OmegaConf
        raise SettingsError(sentence(error)) from error


@contextmanager
def _hydra() -> Iterator[None]:
    """Compose as this project's commands do, whatever the process uses Hydra for, and leave its state as it was."""
    app, store, job = GlobalHydra.instance(), ConfigStore.instance(), HydraConfig.instance()
    with LOCK:
        Plugins.instance()  # which store their configs once, when they are loaded: not in the copy that is dropped
        before = app.hydra, store.repo, job.cfg
        app.clear()
        store.repo = copy.deepcopy(store.repo)
        try:
            schema.register()
            yield
        finally:
            app.hydra, store.repo, job.cfg = before


def _composed(overrides: Sequence[str], config_dir: str | Path | None) -> DictConfig:
    """The config of a run, with Hydra's own in its node `hydra`."""
    searched = []
    if config_dir is not None:
        path = Path(config_dir).expanduser().absolute()
        if not path.is_dir():
            raise SettingsError(f"config_dir={config_dir}: there is no such folder.")
        quoted = str(path).replace("'", r"\'")
        searched = [f"hydra.searchpath=['file://{quoted}']"]
    with initialize_config_dir(str(schema.CONFIGS), job_name="train", version_base="1.3"):
        cfg = compose("train", [*searched, *overrides], return_hydra_config=True)
    OmegaConf.set_readonly(cfg, False)
    return cfg


def _checked(cfg: DictConfig, folder: str | Path | None) -> tuple[DictConfig, DictConfig]:
    if folder is not None:
        cfg.hydra.run.dir = _escaped(Path(folder).expanduser().absolute())
    known = HydraConfig.instance()
    known.set_config(cfg)  # what ${hydra:…} refers to
    with open_dict(cfg), read_write(cfg.hydra):
        cfg.hydra.run.dir = cfg.hydra.runtime.output_dir = _escaped(cfg.hydra.run.dir)  # ${now:…} in it is resolved
        known.set_config(cfg)
        hydra = cfg.pop("hydra")
    checks.check_composed(cfg, hydra)
    OmegaConf.resolve(cfg)
    return schema.typed(cfg), hydra


def _escaped(folder: str | Path) -> str:
    """A folder's name in which OmegaConf sees no reference."""
    return str(folder).replace("${", r"\${")
