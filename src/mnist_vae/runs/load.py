"""Load a run from its folder, complete or still training: its config, its VAE, its images."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_vae.config.checks import check
from mnist_vae.config.hparams import choice, title
from mnist_vae.config.schema import Config
from mnist_vae.data.binarize import Binarize
from mnist_vae.runs.earlier import translate
from mnist_vae.runs.fitted_priors import TRAINED, read_prior
from mnist_vae.runs.folder import RunFolder, load_config
from mnist_vae.utils.errors import RunFolderError, SettingsError, UserError, first_line
from mnist_vae.utils.text import scores

if TYPE_CHECKING:
    import pandas
    from torch import Tensor

    from mnist_vae.data.datamodule import ImageDataModule
    from mnist_vae.models.vae import VAE

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, repr=False, eq=False)
class OpenRun:
    """A run that was opened.

    Attributes:
        folder: the run's folder.
        cfg: its config, of the schema config.schema.Config.
        vae: the trained model, on the CPU and in evaluation mode.
        checkpoint: `best` or `last`: the checkpoint of these weights.
        epochs: epochs trained until that checkpoint.
        trust: packages beside this project whose code the run's config may name.
        rebinarized: whether its images are binarised in another way than it was trained with, see `binarized`.
        prior: `trained`, or the density that was fitted to the codes and is the prior of `vae` and of `cfg`.
    """

    folder: RunFolder
    cfg: DictConfig
    vae: "VAE"
    checkpoint: str
    epochs: int
    trust: tuple[str, ...] = ()
    rebinarized: bool = False
    prior: str = TRAINED

    def __repr__(self) -> str:
        try:
            values = scores(self.folder.read_metrics()) if self.folder.complete else "not complete"
        except (RunFolderError, ValueError, TypeError):
            values = "its metrics.json is damaged"
        return f"<run {self.folder.path}: {self.title}; {values}; weights of epoch {self.epochs}>"

    @property
    def title(self) -> str:
        """A short description, for figures."""
        fitted = {} if self.prior == TRAINED else {"prior": f"fitted {self.prior}"}
        return title(self.cfg, self.folder.read_choices() | fitted)

    @property
    def metrics(self) -> dict[str, float | str]:
        """Its final metrics, as in metrics.json.

        Raises:
            RunFolderError: it is not complete.
        """
        return self.folder.read_metrics()

    @property
    def history(self) -> "pandas.DataFrame":
        """Its metrics of each epoch, a row per epoch."""
        import pandas

        return pandas.DataFrame(self.folder.read_rows()).apply(pandas.to_numeric, downcast="integer")

    @property
    def figures(self) -> dict[str, Path]:
        """The files of its figures by their names, such as `results`."""
        files = sorted((self.folder.path / f"figures{self.suffix}").glob("*.*"))
        return {file.stem: file for file in files if file.suffix in (".png", ".gif")}

    def images(self, split: str = "test", root: str | None = None) -> "tuple[Tensor, Tensor]":
        """Its images of the split `train`, `val` or `test`: uint8 (n, channels, height, width), and labels (n,).

        Args:
            root: their folder; see `data`.
        """
        if split not in SPLITS:
            raise SettingsError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}.")
        return self.data(root).fixed(split)

    @property
    def suffix(self) -> str:
        """Suffix of the names of files that were not made from the best epoch's weights, with the trained prior, of the
        run's own pixels.
        """
        pixels = f"_{self.cfg.data.binarize.name}" if self.rebinarized else ""
        weights = "" if self.checkpoint == "best" else f"_{self.checkpoint}"
        return pixels + weights + ("" if self.prior == TRAINED else f"_prior-{self.prior}")

    def binarized(self, how: Binarize) -> "OpenRun":
        """The same run with images that are binarised in another way; files made from them have its name in theirs.

        Raises:
            SettingsError: the likelihood is one of grey levels, and the pixels are 0 and 1, or the opposite.
        """
        if how is self.cfg.data.binarize:
            return self
        if self.vae.likelihood.grey_only and how is not Binarize.none:
            likelihood = choice(self.cfg, self.folder.read_choices(), "likelihood")
            raise SettingsError(
                f"data.binarize={how.name}: likelihood={likelihood} is a distribution of grey levels, which does not "
                "apply to pixels of 0 and 1; leave data.binarize out."
            )
        if self.vae.likelihood.binary_only and how is Binarize.none:
            raise SettingsError(
                "data.binarize=none: the likelihood of this run is a distribution of pixels of 0 and 1, which does not "
                "apply to grey levels; leave data.binarize out."
            )
        cfg = self.cfg.copy()
        cfg.data.binarize = how
        return replace(self, cfg=cfg, rebinarized=True)

    def data(self, root: str | None = None, val_size: int | None = None) -> "ImageDataModule":
        """Load the images that it was trained and tested on.

        Args:
            root: their folder. If None: the one that the run was trained from if the images are there, else
                $MNIST_VAE_DATA, else data/; only into these last two are they downloaded.
            val_size: training images to hold out; the run's own number if None.

        Raises:
            DataError: the images are not available.
            SettingsError: their source is neither one of this project's nor from a package that is trusted.
        """
        from mnist_vae.config.build import build_data

        cfg = self.cfg.copy()
        ours = root or _root_with_images(cfg) or os.environ.get("MNIST_VAE_DATA", "data")
        for node in _mappings(cfg.data.source):
            # Of this project's sources neither a folder to write into nor an address that somebody else chose.
            is_ours = str(node.get("_target_")).startswith("mnist_vae.")
            if "root" in node and (is_ours or root is not None):
                node.root = ours
            if "mirror" in node and is_ours:
                node.mirror = None
        if val_size is not None:
            cfg.data.val_size = val_size
        return build_data(cfg, self.trust)


def open_run(folder: str | Path, checkpoint: str = "best", trust: Sequence[str] = (), prior: str = TRAINED) -> OpenRun:
    """Load a run from its folder.

    Nothing in the folder is executed: the config is plain data, it may name only modules of this project or of
    torch itself, and the checkpoint is read as tensors and plain values only. So folders from strangers can be
    opened.

    Args:
        folder: the run's folder.
        checkpoint: `best` for the best epoch on validation images (the last, if there are none), or `last`.
        trust: packages beside these whose classes and functions the config may name, such as `["my_vae"]`.
        prior: `trained`, or a density that scripts/fit_prior.py has fitted to its codes, such as `gmm`.

    Raises:
        RunFolderError: there is no such run, it has no checkpoint yet, a file of it is damaged, it is of an older
            layout, or no such prior was fitted to these weights.
        SettingsError: the config names something else than such a module, or a wrong value.
    """
    from mnist_vae.config.build import build_vae
    from mnist_vae.runs.checkpoints import load_weights, read_checkpoint, vae_weights

    trusted = (trust,) if isinstance(trust, str) else tuple(trust or ())
    run = RunFolder(Path(folder).expanduser().absolute())
    if not run.path.exists():
        raise RunFolderError(f"{run.path}: there is no such folder.")
    if not run.config.exists():
        raise RunFolderError(f"{run.path} is not a run folder: it has no .hydra/config.yaml.")
    if checkpoint not in ("best", "last"):
        raise RunFolderError(f"checkpoint is {checkpoint!r}; it must be 'best' or 'last'.")
    cfg = _typed(run)
    file = run.best if checkpoint == "best" else run.last
    content = read_checkpoint(file)
    about = content.get("hyper_parameters", content)  # before hyperparameters were saved, they stood beside the weights
    if "state_dict" in content and "image_shape" not in about:
        raise _older(run, "its checkpoint does not say how large its images are")
    try:
        image_shape = tuple(int(size) for size in about["image_shape"])
        weights = vae_weights(content)
        model = partial(build_vae, cfg, image_shape, int(about.get("classes", 0)), trusted)  # type: ignore[arg-type]
        vae = load_weights(model, weights, file)
        epochs = int(content.get("epoch", -1)) + 1
    except UserError:
        raise
    except Exception as error:
        raise RunFolderError(f"{run.path}: the checkpoint does not fit the config ({first_line(error)}).") from error
    if not all(value.isfinite().all() for value in vae.state_dict().values()):
        raise RunFolderError(f"{run.path}: some of its weights are not finite numbers; training diverged.")
    if prior != TRAINED:
        fitted, cfg.prior = read_prior(run, prior, checkpoint, vae, trusted)
        vae.use_prior(fitted)
    return OpenRun(run, cfg, vae.eval().requires_grad_(False), checkpoint, epochs, trusted, prior=prior)


def load_run(folder: str | Path, checkpoint: str = "best", trust: Sequence[str] = (), prior: str = TRAINED) -> "VAE":
    """The trained VAE of a run, on the CPU, in evaluation mode and with frozen weights; see `open_run`."""
    return open_run(folder, checkpoint, trust, prior).vae


def _typed(run: RunFolder) -> DictConfig:
    """The run's config, with the types of the schema."""
    stored = translate(load_config(run.config))
    missing = [name for name in Config.__dataclass_fields__ if name not in stored]
    if missing:
        raise _older(run, f"its config has no {missing[0]}")
    try:
        cfg = OmegaConf.merge(OmegaConf.structured(Config), stored)
    except OmegaConfBaseException as error:
        raise _older(run, f"its config does not fit this one's schema: {first_line(error)}") from error
    assert isinstance(cfg, DictConfig)
    for group in ("model", "objective", "likelihood", "prior", "posterior", "optimizer"):
        if not isinstance(cfg[group], DictConfig):
            raise RunFolderError(f"{run.config} is damaged: its {group} is not a mapping.")
    check(cfg)
    return cfg


def _mappings(node: Any) -> Iterator[DictConfig]:
    """A node and those within it, at any depth, that are mappings."""
    if isinstance(node, DictConfig):
        yield node
        node = list(node.values())
    if isinstance(node, list | ListConfig):
        for entry in node:
            yield from _mappings(entry)


def _root_with_images(cfg: DictConfig) -> str | None:
    """The folder that the config names, if all four files are in it."""
    from mnist_vae.data.mnist import FILES

    raw = Path(str(cfg.data.root)).expanduser() / str(cfg.data.source.get("dataset", "")) / "raw"
    there = all((raw / name).exists() or (raw / f"{name}.gz").exists() for name in FILES)
    return str(cfg.data.root) if there else None


def _older(run: RunFolder, why: str) -> RunFolderError:
    return RunFolderError(
        f"{run.path} was made by another version of this project ({why}); train it again, or open it with the "
        "version that its environment.json names."
    )
