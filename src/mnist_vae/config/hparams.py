"""What tells one experiment from another, by name."""

from collections.abc import Iterable
from enum import Enum
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from mnist_vae.config.overrides import NOT_THE_EXPERIMENT


def choice(node: DictConfig) -> str:
    """The short name of what a node's `_target_` names, such as mlp for mnist_vae.models.networks.mlp.MLP."""
    return str(node["_target_"]).rpartition(".")[2].lower()


def beta_of(cfg: DictConfig) -> float:
    """The weight of the KL term: the objective's own where it has one."""
    return float(cfg.objective.get("beta", cfg.beta))


def headline(cfg: DictConfig, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """What tells one run from another: model, data, latent size, beta, seed, and whatever was set on the command line.

    Args:
        overrides: `key=value` as typed; keys that say where things lie, not what is done, are left out.
    """
    keys = {"model": choice(cfg.model), "data": cfg.data.name, "latent_dim": "", "beta": "", "seed": ""}
    keys |= {key.lstrip("+~"): text for key, _, text in (override.partition("=") for override in overrides)}
    values: dict[str, Any] = {}
    for key, typed in keys.items():
        value = OmegaConf.select(cfg, key)
        if isinstance(value, Enum):
            value = value.name
        elif isinstance(value, ListConfig):
            value = str(list(value))
        elif not isinstance(value, int | float | str):  # a group, or nothing that is left in the config
            value = typed
        if key not in NOT_THE_EXPERIMENT and not key.startswith("hydra"):
            values[key] = value
    return values | {"beta": beta_of(cfg)}


def title(cfg: DictConfig) -> str:
    """What the run is, in a few words, for its figures."""
    model = f"conditional {choice(cfg.model)}" if cfg.conditional else choice(cfg.model)
    return f"{model}, {cfg.latent_dim} latent dimensions, beta {beta_of(cfg):g}, on {cfg.data.name}"
