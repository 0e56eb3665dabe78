"""Priors fitted to the codes of a run, in <run>/priors: written atomically, and read without running any code."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mnist_vae.config.schema import CONFIGS
from mnist_vae.runs.folder import RunFolder
from mnist_vae.utils.errors import RunFolderError, SettingsError, UserError, first_line
from mnist_vae.utils.io import shown, write_atomically
from mnist_vae.utils.program import as_called

if TYPE_CHECKING:
    from mnist_vae.models.priors import Prior
    from mnist_vae.models.vae import VAE

TRAINED = "trained"  # the prior that the run was trained with
# The densities that can be fitted: a choice of the group prior, and what differs from it.
DENSITIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    # Ghosh et al. (2020) fit 10 components with full covariances.
    "gmm": ("mixture", {"components": 10, "covariance": "full"}),
    "flow": ("flow", {}),
    "vamp": ("vamp", {}),
}


def prior_config(density: str, arguments: Mapping[str, Any]) -> DictConfig:
    """The config node of a density's prior.

    Args:
        density: a key of DENSITIES.
        arguments: of the prior's class, in place of the defaults.
    """
    choice, defaults = DENSITIES[density]
    node = OmegaConf.merge(OmegaConf.load(CONFIGS / "prior" / f"{choice}.yaml"), dict(defaults), dict(arguments))
    assert isinstance(node, DictConfig)
    return node


def prior_file(folder: RunFolder, density: str, checkpoint: str) -> Path:
    """The file of a prior that was fitted to the codes of a checkpoint, `best` or `last`.

    Raises:
        RunFolderError: it is a link out of the run's folder.
    """
    suffix = "" if checkpoint == "best" else f"_{checkpoint}"
    return folder.subfolder("priors") / f"{density}{suffix}.ckpt"


def write_prior(file: Path, vae: "VAE", prior: "Prior", node: DictConfig, **about: float) -> None:
    """Write a prior that was fitted to the codes of a VAE.

    Args:
        node: its config.
        about: numbers to keep beside it.
    """
    import torch

    buffer = io.BytesIO()
    weights = {name: value.cpu() for name, value in prior.state_dict().items()}
    config = OmegaConf.to_container(node, resolve=True)
    torch.save({"prior": config, "state_dict": weights, "fitted_to": _digest(vae), **about}, buffer)
    write_atomically(file, buffer.getvalue())


def read_prior(
    folder: RunFolder, density: str, checkpoint: str, vae: "VAE", trust: Sequence[str]
) -> "tuple[Prior, DictConfig]":
    """Read a prior that was fitted to the codes of a VAE; return it, and its config.

    Raises:
        SettingsError: there is no such density, or its config names a class that is not allowed.
        RunFolderError: it was not fitted, or to other weights, or its file is damaged.
    """
    from mnist_vae.config.build import build_prior
    from mnist_vae.runs.checkpoints import load_weights, read_checkpoint

    if density not in DENSITIES:
        raise SettingsError(f"prior={density}: it must be {TRAINED}, or one that was fitted: {', '.join(DENSITIES)}.")
    file, weights = prior_file(folder, density, checkpoint), "" if checkpoint == "best" else f" checkpoint={checkpoint}"
    remedy = as_called(f"`python scripts/fit_prior.py run={shown(folder.path)} density={density}{weights}` fits it")
    if not file.exists():
        there = [name for name in DENSITIES if prior_file(folder, name, checkpoint).exists()]
        only = f"only {', '.join(there)}" if there else "none"
        raise RunFolderError(f"prior={density}: of fitted priors {shown(folder.path)} has {only}; {remedy}.")
    try:
        content = read_checkpoint(file)
    except RunFolderError as error:
        raise RunFolderError(f"{first_line(error)} {remedy} again.") from error
    if content.get("fitted_to") != _digest(vae):
        raise RunFolderError(f"{file} was fitted to other weights than those of {checkpoint}.ckpt; {remedy} again.")
    try:
        node = OmegaConf.create(content["prior"])
        assert isinstance(node, DictConfig)
        build = partial(build_prior, node, vae.latent_dim, vae.image_shape, trust)
        prior = load_weights(build, content["state_dict"], file)
    except UserError:
        raise
    except Exception as error:
        raise RunFolderError(f"{file} is damaged ({first_line(error)}); {remedy} again.") from error
    if not all(value.isfinite().all() for value in prior.state_dict().values()):
        raise RunFolderError(f"{file}: some of its weights are not finite numbers; {remedy} again.")
    return prior, node


def _digest(vae: "VAE") -> str:
    """SHA-256 of the weights of the encoder and the decoder; a trained prior goes with them."""
    digest = hashlib.sha256()
    for name, value in vae.state_dict().items():
        if "prior." not in name:
            digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
