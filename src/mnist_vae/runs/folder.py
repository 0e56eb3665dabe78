"""A run's folder: its files, the lock on it, whether it is complete; and how runs are found."""

import csv
import glob
import io
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from mnist_vae.config.hparams import choices_made
from mnist_vae.config.overrides import NOT_THE_EXPERIMENT
from mnist_vae.utils.errors import RunFolderError, UnwritableError, first_line
from mnist_vae.utils.io import locked, read_text, remove_temporary_files, write_atomically, write_json

# libyaml's where PyYAML has it: several times as fast.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

EPOCHS = ("max_epochs", "trainer.max_epochs")  # the keys by which a run is given more epochs
MOST_THREADS = 1024
WRITTEN_INTO = ("checkpoints", "figures", "tensorboard", "wandb", "train.log")  # all else is replaced as a whole
EARLIER = "metrics_{:04d}_epochs.json"  # the final metrics that it had before


class RunFolder:
    """The files of one run; docs/runs.md describes the layout.

    Args:
        path: the folder; it need not exist yet.
        output_subdir: Hydra's setting of that name: a folder there in which Hydra keeps its own copy of the config.
    """

    def __init__(self, path: str | Path, output_subdir: str | None = None) -> None:
        self.path, self.output_subdir = Path(path), output_subdir
        self.config = self.path / ".hydra" / "config.yaml"
        self.hydra = self.path / ".hydra" / "hydra.yaml"
        self.rows = self.path / "metrics.csv"
        self.environment = self.path / "environment.json"
        self.warm_start = self.path / "init_from.json"
        self.metrics = self.path / "metrics.json"
        self.evaluation = self.path / "evaluation.json"
        self.failure = self.path / "failed.json"
        self.last = self.path / "checkpoints" / "last.ckpt"
        self.best = self.path / "checkpoints" / "best.ckpt"

    @property
    def complete(self) -> bool:
        """Whether the run is complete: metrics.json is written last."""
        return self.metrics.exists()

    def read_metrics(self) -> dict[str, float | str]:
        """Read the final metrics.

        Raises:
            RunFolderError: the run is not complete, or its metrics.json is damaged.
        """
        if not self.complete:
            raise RunFolderError(f"{self.path} is not a complete run: it has no metrics.json.")
        try:
            metrics = json.loads(read_text(self.metrics))
            metrics["test/elbo"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunFolderError(
                f"{self.metrics} is damaged; delete it, and the run's own command writes it again."
            ) from error
        return metrics

    def read_rows(self) -> list[dict[str, float]]:
        """Read the rows of metrics.csv, one per epoch; none before the first one ends.

        Raises:
            RunFolderError: it is damaged.
        """
        if not self.rows.exists():
            return []
        try:
            table = csv.DictReader(io.StringIO(read_text(self.rows)))
            return [{name: float(value) for name, value in row.items() if value} for row in table]
        except (ValueError, TypeError, csv.Error) as error:
            raise RunFolderError(f"{self.rows} is damaged ({first_line(error)}).") from error

    def subfolder(self, name: str) -> Path:
        """The path of a folder or file in this one to write into.

        Raises:
            RunFolderError: it is a link to somewhere else; a run's folder can come from anyone.
        """
        path = self.path / name
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise RunFolderError(f"{path} leads outside the run's folder, to {path.resolve()}; nothing was written.")
        return path

    @contextmanager
    def claimed(self, cfg: DictConfig, wait: bool = False) -> Iterator[None]:
        """Hold the folder for this process and this configuration, which may have more epochs than the folder's.

        Args:
            wait: if another process holds it, wait until it is released, instead of refusing.

        Raises:
            RunFolderError: another process holds it, it belongs to another configuration, or it can't be written.
        """
        try:
            self.config.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.config.with_name("lock"), self.path, wait):
                self.refuse_other_configuration(cfg, more_epochs=True)
                for name in WRITTEN_INTO:
                    self.subfolder(name)
                remove_temporary_files(self.path)
                self.failure.unlink(missing_ok=True)
                if self.is_extended_by(cfg) and self.complete:
                    # Before the config is replaced: if the process is killed in between, the run is just not complete.
                    self.metrics.replace(self.path / EARLIER.format(len(self.read_rows())))
                if not self.config.exists() or self.is_extended_by(cfg):
                    write_atomically(self.config, OmegaConf.to_yaml(cfg, resolve=True).encode())
                yield
        except OSError as error:
            if error.filename is None or not str(error.filename).startswith(str(self.path)):
                raise
            raise UnwritableError(error, error.filename, "choose another folder by hydra.run.dir=…") from error

    def write_hydra(self, overrides: list[str], hydra: Any) -> None:
        """Write overrides.yaml and hydra.yaml beside config.yaml, as Hydra does."""
        write_atomically(self.config.with_name("overrides.yaml"), OmegaConf.to_yaml(overrides).encode())
        write_atomically(self.hydra, OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})).encode())

    def read_choices(self) -> dict[str, str]:
        """Read the choice made in each config group from hydra.yaml; empty if that is missing or damaged, since choices
        are only names.
        """
        try:
            return choices_made(yaml.load(yaml_text(self.hydra), _Loader)["hydra"])
        except Exception:  # a damaged file can raise anything
            return {}

    def read_threads(self) -> int | None:
        """Read from environment.json how many threads the run began with; None if that is not known."""
        try:
            threads = json.loads(read_text(self.environment))["threads"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return threads if type(threads) is int and 0 < threads <= MOST_THREADS else None

    @property
    def extended_from(self) -> list[int]:
        """Epochs after which the run was complete before it was given more, in ascending order."""
        names = (path.name for path in self.path.glob(EARLIER.replace("{:04d}", "[0-9]*")))
        return sorted(int(name.split("_")[1]) for name in names)

    def write_metrics(self, values: dict[str, float | str]) -> None:
        """Write metrics.json, which makes the run complete."""
        write_json(self.metrics, values)

    def write_failure(self, failure: dict[str, Any], overrides: list[str]) -> None:
        """Write failed.json, which stays until the run is started again, and the reason to train.log.

        Args:
            failure: `error`, a sentence; `type`, the exception's name; `traceback`; and `expected`, whether a user can
                act on the error: then its traceback is not written to the log.
        """
        fields = {name: failure[name] for name in ("error", "type", "traceback")}
        when = datetime.now().astimezone().isoformat(timespec="seconds")
        write_json(self.failure, fields | {"overrides": overrides, "time": when})
        with (self.path / "train.log").open("a") as file:
            print(f"error: {fields['error']}" if failure["expected"] else fields["traceback"], file=file)

    def read_failure(self) -> dict[str, Any] | None:
        """Read failed.json; None if there is none, or if the run is complete."""
        if self.complete or not self.failure.exists():
            return None
        try:
            failure = json.loads(read_text(self.failure))
            failure["error"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {"error": "its failed.json is damaged.", "type": "", "traceback": "", "overrides": []}
        return failure

    def is_extended_by(self, cfg: DictConfig) -> bool:
        """Whether `cfg` gives this run more epochs and differs in nothing else."""
        differing = self._differences(cfg) if self.config.exists() else {}
        return bool(differing) and all(
            key in EPOCHS and type(there) is type(now) is int and now > there > 0
            for key, (there, now) in differing.items()
        )

    def refuse_other_configuration(
        self, cfg: DictConfig, more_epochs: bool = False, remedy: str = "hydra.run.dir=…"
    ) -> None:
        """Raise RunFolderError, naming the keys that differ, if the folder belongs to another configuration.

        Args:
            more_epochs: accept one with more epochs.
            remedy: the override that chooses another folder.
        """
        if not self.config.exists():
            unbegun = {".hydra", "train.log", "failed.json", *Path(self.output_subdir or "").parts[:1]}
            if self.path.is_dir() and {path.name for path in self.path.iterdir()} - unbegun:
                raise RunFolderError(f"{self.path} holds something other than a run; choose a new or empty folder.")
            return
        differing = self._differences(cfg)
        if differing and not (more_epochs and self.is_extended_by(cfg)):
            listed = [f"{key} (there {there}, now {now})" for key, (there, now) in differing.items()]
            raise RunFolderError(
                f"{self.path} belongs to another configuration, which differs in {', '.join(listed)}; "
                f"choose another folder by {remedy}, or the same values."
            )

    def _differences(self, cfg: DictConfig) -> dict[str, tuple[Any, Any]]:
        """{key: (value in the folder's config, value in `cfg`)} where they differ; `absent` for a key without value."""
        now, there = _flat(OmegaConf.create(OmegaConf.to_yaml(cfg, resolve=True))), _flat(load_config(self.config))
        keys = sorted(key for key in now.keys() | there.keys() if key not in NOT_THE_EXPERIMENT)
        differing = [key for key in keys if now.get(key) != there.get(key)]
        return {key: (there.get(key, "absent"), now.get(key, "absent")) for key in differing}


@contextmanager
def removed_if_empty(folder: Path) -> Iterator[None]:
    """Make a run's folder; at the end, remove it, and what was made above it, if nothing was written."""
    new = missing_folders(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        remove_empty(new)


def missing_folders(folder: Path) -> list[Path]:
    """The folder and those above it that do not exist, the innermost first."""
    return [path for path in (folder.absolute(), *folder.absolute().parents) if not path.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, until one is not empty."""
    with suppress(OSError):
        for path in folders:
            path.rmdir()


def find_runs(where: str) -> list[Path]:
    """Find the run folders that a path or a glob names: a run, or all runs in a folder, such as a sweep.

    They come in the order of their names, numbers by their value.

    Raises:
        RunFolderError: there is nothing of that name, or no run in it.
    """
    path = Path(where).expanduser()
    # The name as it stands first: a folder's own name may hold brackets.
    matches = [path] if path.exists() else [Path(name) for name in glob.glob(str(path), recursive=True)]
    if not matches:
        raise RunFolderError(f"run={where}: there is no such folder.")
    found = {config.parents[1] for match in matches for config in match.rglob(".hydra/config.yaml")}
    if not found:
        around = next((p for p in path.absolute().parents if (p / ".hydra" / "config.yaml").exists()), None)
        hint = f"; did you mean {around}?" if around else "; a run's folder has a file .hydra/config.yaml."
        raise RunFolderError(f"run={where}: there is no run in it{hint}")
    return sorted(
        found,
        key=lambda run: [
            (part.isdigit(), int(part) if part.isdigit() else part) for part in re.split(r"(\d+)", str(run)) if part
        ],
    )


def load_config(path: Path) -> DictConfig:
    """Read a saved config as plain data. It was saved resolved, so an interpolation is refused.

    Raises:
        RunFolderError: it can't be read as that.
    """
    try:
        cfg = OmegaConf.create(yaml_text(path))
        if "${" in str(OmegaConf.to_container(cfg)):  # of the parsed values: YAML has escapes
            raise ValueError("it holds an interpolation, and a run's config is saved without any")
        if not isinstance(cfg, DictConfig) or not cfg:
            raise ValueError("it is empty, or not a mapping")
    except Exception as error:
        raise RunFolderError(f"{path} can't be read as a run's config ({first_line(error)}).") from error
    return cfg


def yaml_text(path: Path) -> str:
    """Read a YAML file of a run's folder, which may come from anyone.

    Raises:
        OSError, ValueError, yaml.YAMLError: it can't be read, or holds an alias, of which a few can expand to GBs.
    """
    text = read_text(path)
    if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, _Loader)):
        raise ValueError("it holds an alias, and a run's files are saved without any")
    return text


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested entries as {dotted key: value}."""
    if not isinstance(node, DictConfig):
        return {prefix: OmegaConf.to_container(node) if OmegaConf.is_config(node) else node}
    items: dict[str, Any] = {}
    for name, value in node.items():
        items |= _flat(value, f"{prefix}.{name!s}" if prefix else str(name))
    return items
