"""One run's folder: claim it, describe it, tell if it is complete, load what it holds."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from omegaconf import DictConfig, OmegaConf

from mnist_vae.errors import RunFolderError, UserError, first_line
from mnist_vae.files import write_atomically, write_json

if TYPE_CHECKING:
    from mnist_vae.vae import VAE

# Where the images lie says nothing about the experiment, so a run may be finished on another machine.
NOT_THE_EXPERIMENT = ("data.root", "data.source.root", "data.source.mirror")


class RunFolder:
    """The files of one run; the layout is described in the README.

    Args:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / ".hydra" / "config.yaml"
        self.metrics = self.path / "metrics.json"
        self.last = self.path / "checkpoints" / "last.ckpt"
        self.best = self.path / "checkpoints" / "best.ckpt"

    @property
    def complete(self) -> bool:
        """Whether the run was finished: metrics.json is written last."""
        return self.metrics.exists()

    def read_metrics(self) -> dict[str, float | str]:
        """The final metrics.

        Raises:
            RunFolderError: the run is not complete, or its metrics.json is damaged.
        """
        if not self.complete:
            raise RunFolderError(f"{self.path} is not a complete run: it has no metrics.json.")
        try:
            metrics = json.loads(self.metrics.read_text())
            metrics["test/elbo"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(
                f"{self.metrics} is damaged; delete it, and the run's own command writes it again."
            ) from error
        return metrics

    @contextmanager
    def claimed(self, cfg: DictConfig) -> Iterator[None]:
        """Hold the folder for this process and this configuration.

        Raises:
            RunFolderError: another process holds it, it belongs to another configuration, or it can't be written.
        """
        try:
            self.config.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.path):
                self.refuse_other_configuration(cfg)
                if not self.config.exists():
                    write_atomically(self.config, OmegaConf.to_yaml(cfg, resolve=True).encode())
                yield
        except OSError as error:
            if error.filename is None or not str(error.filename).startswith(str(self.path)):
                raise
            raise RunFolderError(
                f"{self.path} can't be written ({error.strerror}); choose another folder by hydra.run.dir=…"
            ) from error

    def write_hydra(self, overrides: list[str], hydra: Any) -> None:
        """Keep what was typed and how Hydra was set, beside the config."""
        write_atomically(self.config.with_name("overrides.yaml"), OmegaConf.to_yaml(overrides).encode())
        write_atomically(self.config.with_name("hydra.yaml"), OmegaConf.to_yaml(hydra).encode())

    def write_metrics(self, values: dict[str, float | str]) -> None:
        """Write metrics.json, which makes the run complete."""
        write_json(self.metrics, values)

    def refuse_other_configuration(self, cfg: DictConfig) -> None:
        """Raise RunFolderError, naming the keys that differ, if the folder belongs to another configuration."""
        if not self.config.exists():
            if self.path.is_dir() and {path.name for path in self.path.iterdir()} - {".hydra", "train.log"}:
                raise RunFolderError(f"{self.path} holds something else than a run; choose a new or empty folder.")
            return
        mine, theirs = (
            _flat(OmegaConf.create(OmegaConf.to_yaml(cfg, resolve=True))),
            _flat(_load_config(self.config)),
        )
        differing = [
            f"{key} (there {theirs.get(key, 'absent')}, now {mine.get(key, 'absent')})"
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key) and key not in NOT_THE_EXPERIMENT
        ]
        if differing:
            raise RunFolderError(
                f"{self.path} belongs to another configuration, which differs in {', '.join(differing)}; "
                "choose another folder by hydra.run.dir=…, or the same values."
            )


def load_run(folder: str | Path, checkpoint: str = "best") -> "VAE":
    """The trained VAE of a run, on the CPU and in evaluation mode, ready for a notebook.

    Nothing in the folder is executed: the config is plain data, it may name only torch modules of this project
    or of torch itself, and the checkpoint is read as tensors and plain values only. So folders from strangers
    can be loaded.

    Args:
        folder: a run's folder, complete or under way.
        checkpoint: "best" (highest validation ELBO) or "last".

    Raises:
        RunFolderError: there is no such run, it has no checkpoint yet, or a file of it is damaged.
        SettingsError: the config names something else than such a module, or a wrong value.
    """
    from mnist_vae.building import build_vae
    from mnist_vae.checkpoints import read_checkpoint

    run = RunFolder(folder)
    if not run.config.exists():
        raise RunFolderError(f"{run.path} is not a run folder: it has no .hydra/config.yaml.")
    if checkpoint not in ("best", "last"):
        raise RunFolderError(f"checkpoint is {checkpoint!r}; it must be 'best' or 'last'.")
    content = read_checkpoint(run.best if checkpoint == "best" else run.last)
    try:
        image_shape = tuple(int(size) for size in content["image_shape"])
        prefix = "vae."
        weights = {k[len(prefix) :]: v for k, v in content["state_dict"].items() if k.startswith(prefix)}
        vae = build_vae(_load_config(run.config), image_shape)  # type: ignore[arg-type]
        vae.load_state_dict(weights)
    except UserError:
        raise
    except Exception as error:
        raise RunFolderError(f"{run.path}: the checkpoint does not fit the config ({first_line(error)}).") from error
    return vae.eval()


def _load_config(path: Path) -> DictConfig:
    """A saved config as plain data: it was saved resolved, so what looks like an interpolation is refused."""
    try:
        text = path.read_text()
        if "${" in text:
            raise ValueError("it holds an interpolation, and a run's config is saved without any")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("it holds an alias, and a run's config is saved without any")  # a few can expand to GBs
        cfg = OmegaConf.create(text)
        if not isinstance(cfg, DictConfig) or not cfg:
            raise ValueError("it is empty, or not a mapping")
    except Exception as error:
        raise RunFolderError(f"{path} can't be read as a run's config ({first_line(error)}).") from error
    return cfg


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested entries as {dotted key: value}."""
    if not isinstance(node, DictConfig):
        return {prefix: OmegaConf.to_container(node) if OmegaConf.is_config(node) else node}
    items: dict[str, Any] = {}
    for name, value in node.items():
        items |= _flat(value, f"{prefix}.{name!s}" if prefix else str(name))
    return items


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    # Left behind: deleting a lock file that another process may just have opened is a race.
    lock = FileLock(folder / ".hydra" / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunFolderError(
            f"{folder} is in use by another process; wait for it, or choose another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()
