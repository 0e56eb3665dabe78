"""The hyperparameters that identify an experiment, and the names of the choices made."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from mnist_vae.config.overrides import NOT_THE_EXPERIMENT

Choices = Mapping[str, str]  # the choice made in each config group
# Choices that a run's title does not mention.
USUAL = {"objective": "elbo", "prior": "standard_normal", "posterior": "diagonal", "likelihood": "bernoulli"}


def choices_made(hydra: Any) -> dict[str, str]:
    """The choice made in each config group, from Hydra's `runtime.choices`; empty without Hydra.

    Args:
        hydra: the node `hydra` of a composed config, or None.
    """
    choices = {} if hydra is None else hydra["runtime"]["choices"]
    names = {str(group): choice for group, choice in choices.items()}
    return {group: _listed(choice) for group, choice in names.items() if choice is not None and "hydra" not in group}


def _listed(choice: Any) -> str:
    return f"[{','.join(map(str, choice))}]" if isinstance(choice, list | ListConfig) else str(choice)


def choice(cfg: DictConfig, choices: Choices, group: str) -> str:
    """The name of the choice made in a group; without Hydra, the name of the class that it configures."""
    return choices.get(group) or str(cfg[group]["_target_"]).rpartition(".")[2]


def beta_of(cfg: DictConfig) -> float:
    """Weight of the KL term: the objective's own where it has one."""
    return float(cfg.objective.get("beta", cfg.beta))


def epochs_planned(cfg: DictConfig) -> int:
    """Epochs that a run is to train; `max_epochs` where trainer.max_epochs sets no limit."""
    limit = cfg.trainer.get("max_epochs")
    return limit if limit and limit > 0 else cfg.max_epochs


def headline(cfg: DictConfig, choices: Choices, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Model, data, latent size, beta, seed, and whatever was set on the command line.

    Args:
        overrides: `key=value` as typed; keys that say where files are, not what is done, are left out.
    """
    keys = {"model": choice(cfg, choices, "model"), "data": cfg.data.name, "latent_dim": "", "beta": "", "seed": ""}
    keys |= {key.lstrip("+~"): text for key, _, text in (override.partition("=") for override in overrides)}
    values: dict[str, Any] = {}
    for key, typed in keys.items():
        value = OmegaConf.select(cfg, key)
        if isinstance(value, Enum):
            value = value.name
        elif isinstance(value, ListConfig):
            value = str(list(value))
        elif not isinstance(value, int | float | str):  # a group, or a key that is not in the config
            value = typed
        if key not in NOT_THE_EXPERIMENT and not key.startswith("hydra"):
            values[key] = value
    return values | {"beta": beta_of(cfg)}


def title(cfg: DictConfig, choices: Choices) -> str:
    """A run's title in its figures."""
    model = choice(cfg, choices, "model")
    model = f"conditional {model}" if cfg.conditional else model
    unusual = [f"{choices[group]} {group}" for group, usual in USUAL.items() if choices.get(group, usual) != usual]
    parts = [model, f"{cfg.latent_dim} latent dimensions", f"beta {beta_of(cfg):g}", *unusual, f"on {cfg.data.name}"]
    return ", ".join(parts)
