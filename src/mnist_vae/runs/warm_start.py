"""Warm start: a run that begins with the weights of another one, which `init_from` names."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from mnist_vae.runs.earlier import translate
from mnist_vae.runs.folder import RunFolder
from mnist_vae.utils.errors import RunFolderError, SettingsError, first_line
from mnist_vae.utils.io import shown
from mnist_vae.utils.text import shortened

if TYPE_CHECKING:
    from mnist_vae.models.vae import VAE

LOGITS = {f"mnist_vae.models.likelihoods.{name}" for name in ("Bernoulli", "ContinuousBernoulli")}
REPLACEABLE = ("prior", "likelihood")  # of another class than there, these begin with initial weights of their own
NAMES = {"to_posterior": "posterior", "label_image": "labels", "label_scale": "labels"}
SHAPING = ("latent_dim", "conditional", "data", "model", "posterior", "likelihood", "prior")
LONGEST_VALUE = 60  # characters; the other run can come from anyone


class WarmStart(NamedTuple):
    """The weights that a run began with.

    Attributes:
        checkpoint: their file.
        epoch: the other run's epoch at whose end they were saved; its first is 1.
        sha256: digest of the file.
        loaded: the parts of the VAE that were loaded.
        new: those that are of another class than there, each with both classes.
        differing: settings of the loaded parts that differ and change no shape, such as model.activation.
    """

    checkpoint: Path
    epoch: int
    sha256: str
    loaded: list[str]
    new: list[str]
    differing: list[str]

    @property
    def sentence(self) -> str:
        """One line for the console: what was loaded, from where, and what was not."""
        new = [f"new {part}" for part in self.new]
        differing = [f"differing in {', '.join(self.differing)}"] if self.differing else []
        parts = "; ".join([f"{', '.join(self.loaded)} loaded", *new, *differing])
        return f"starting from epoch {self.epoch} of {shown(self.checkpoint)}: {parts}"

    @property
    def record(self) -> dict[str, Any]:
        """The content of init_from.json."""
        return self._asdict() | {"checkpoint": str(self.checkpoint)}


def source_of(cfg: DictConfig, run: RunFolder) -> Path | None:
    """The checkpoint with whose weights a run is to begin. Imports nothing heavy.

    None without `init_from`, and for a run that has begun: it goes on from its own checkpoint, and the other run may be
    gone.

    Raises:
        SettingsError: `init_from` names no checkpoint, or one in the run's own folder.
    """
    if cfg.init_from is None:
        return None
    key, given = f"init_from={cfg.init_from}", Path(cfg.init_from).expanduser()
    file = (RunFolder(given).best if os.path.isdir(given) else given).absolute()
    if file.resolve().is_relative_to(run.path.resolve()):
        raise SettingsError(f"{key}: it is in the folder of this run itself; choose another one by hydra.run.dir=….")
    if run.last.exists() or (run.complete and not run.is_extended_by(cfg)):
        return None
    if not os.path.exists(given):
        raise SettingsError(f"{key}: there is no such folder; it must be a run's, or the file of a checkpoint.")
    if not file.is_file():
        raise SettingsError(
            f"{key}: it has no checkpoints/best.ckpt; it must be the folder of a run, which has that from the end of "
            "its first epoch on, or the file of a checkpoint."
        )
    return file


def warm_start(vae: "VAE", cfg: DictConfig, run: RunFolder) -> WarmStart | None:
    """Load the weights that a run is to begin with: of the VAE only, no state of an optimiser and no epoch.

    All parts must have the names and shapes that they have there, except that a prior of another class keeps its own
    initial weights, and so does a likelihood, if the decoder's outputs are logits for both. Nothing in the other folder
    is executed, and none of its classes are built.

    Returns:
        None if the run begins with its own initial weights, or goes on from its own checkpoint.

    Raises:
        SettingsError: `init_from` names no checkpoint, or one that does not fit; `vae` may then be partly loaded.
        RunFolderError: the checkpoint is damaged, or not one of this project.
    """
    from mnist_vae.runs.checkpoints import read_checkpoint, vae_weights

    file = source_of(cfg, run)
    if file is None:
        return None
    try:
        content = read_checkpoint(file)
    except RunFolderError as error:
        raise RunFolderError(f"init_from={cfg.init_from}: {error}") from error
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    try:
        weights, epoch, about = vae_weights(content), int(content["epoch"]) + 1, content["hyper_parameters"]
        there = _described(about["config"], about["image_shape"], about["classes"])
    except Exception as error:
        raise RunFolderError(
            f"init_from={cfg.init_from}: {file} is no checkpoint of this version's runs ({first_line(error)})."
        ) from error
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    here = _described(plain, vae.image_shape, vae.classes or about["classes"])
    new = [part for part in REPLACEABLE if _class(there.get(part)) != _class(here[part])]
    likelihoods = {_class(each.get("likelihood")) for each in (there, here)}
    if "likelihood" in new and not likelihoods <= LOGITS:
        one, two = (_class(each.get("likelihood")).rpartition(".")[2] for each in (there, here))
        raise SettingsError(
            f"init_from={cfg.init_from}: its decoder makes the parameters of the likelihood {one}, which are not those "
            f"of {two}; choose the likelihood of that run."
        )
    own = {name: value for name, value in vae.state_dict().items() if _part(name) in new}
    others = {name: value for name, value in weights.items() if _part(name) not in new}
    try:
        vae.load_state_dict(own | others)
    except RuntimeError as error:
        reason = _mismatch(vae, own | others, there, here) or f"{first_line(error)}."
        raise SettingsError(f"init_from={cfg.init_from}: {reason}") from error
    if not all(value.isfinite().all() for value in vae.state_dict().values()):
        raise RunFolderError(f"init_from={cfg.init_from}: some weights there are not finite numbers.")
    loaded = list(dict.fromkeys(NAMES.get(_part(name), _part(name)) for name in others))
    kept = [group for group in ("model", "posterior", *REPLACEABLE) if group not in new]
    return WarmStart(file, epoch, digest, loaded, _differences(there, here, new), _differences(there, here, kept))


def _part(name: str) -> str:
    """The part of the VAE that a tensor of its state belongs to."""
    return name.partition(".")[0]


def _described(config: Mapping[str, Any], image_shape: Iterable[int], classes: int) -> dict[str, Any]:
    """A run's settings, as plain data in the terms of this version, with what its data tells the VAE as `data`."""
    plain: Any = OmegaConf.to_container(translate(OmegaConf.create(dict(config))))
    shape = "x".join(str(int(size)) for size in image_shape)
    return plain | {"data": f"images {shape} with {int(classes)} labels"}


def _class(node: Any) -> str:
    """The name of the class that a group configures."""
    return str(node.get("_target_")) if isinstance(node, Mapping) else ""


def _mismatch(vae: "VAE", given: Mapping[str, Any], there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first tensor whose name or shape is another, and the settings that may be why; empty if there is none."""
    own = vae.state_dict()
    shapes = [(name, _shape(given.get(name)), _shape(own.get(name))) for name in dict.fromkeys([*own, *given])]
    unequal = [found for found in shapes if found[1] != found[2]]
    if not unequal:
        return ""
    first, one, two = unequal[0]
    settings = ", ".join(_differences(there, here, SHAPING)) or "their code"
    return f"{first} is {one} there and {two} here; a warm start needs equal shapes, and the runs differ in {settings}."


def _shape(value: Any) -> str:
    return "absent" if value is None else str(tuple(getattr(value, "shape", ())))


def _differences(there: Mapping[str, Any], here: Mapping[str, Any], groups: Iterable[str]) -> list[str]:
    """Such as `latent_dim (there 20, here 16)`; of a group, its class if that differs, else the arguments that do."""
    found: list[str] = []
    for group in groups:
        one, two = there.get(group), here.get(group)
        if not isinstance(one, Mapping) or not isinstance(two, Mapping):
            pairs = {group: (one, two)}
        elif _class(one) != _class(two):
            pairs = {group: (_class(one).rpartition(".")[2], _class(two).rpartition(".")[2])}
        else:
            pairs = {f"{group}.{name}": (one.get(name), two.get(name)) for name in {**one, **two}}
        found += [f"{key} (there {_text(a)}, here {_text(b)})" for key, (a, b) in pairs.items() if a != b]
    return found


def _text(value: Any) -> str:
    return "null" if value is None else shortened(str(value), LONGEST_VALUE)
