"""Configs of runs made by earlier versions, in the terms of this one."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

# Values of keys that did not exist.
DEFAULTS = OmegaConf.create(
    {
        "trainer": {"fast_dev_run": False},
        "monitor": "val/elbo",
        "monitor_mode": "max",
        "init_from": None,
        "conditional": False,
        "posterior": {"_target_": "mnist_vae.models.posteriors.Diagonal"},
        "schedule": {},
        "init": {},
    }
)
REMOVED = ("accelerator.cuda_graph",)
MOVED = {
    "mnist_vae.networks.": "mnist_vae.models.networks.",
    "mnist_vae.likelihoods.": "mnist_vae.models.likelihoods.",
    "mnist_vae.models.autoregressive.": "mnist_vae.models.likelihoods.",
    "mnist_vae.posteriors.": "mnist_vae.models.posteriors.",
    "mnist_vae.priors.Vamp": "mnist_vae.models.priors.VampPrior",
    "mnist_vae.priors.": "mnist_vae.models.priors.",
    "mnist_vae.sources.DigitsSource": "mnist_vae.data.digits.DigitsSource",
    "mnist_vae.sources.": "mnist_vae.data.mnist.",
}


def translate(stored: DictConfig) -> DictConfig:
    """A stored config with the keys and the class names of this version; one of this version is returned equal."""
    plain: Any = OmegaConf.to_container(OmegaConf.merge(DEFAULTS, stored))
    for key in REMOVED:
        group, _, name = key.partition(".")
        if isinstance(plain.get(group), dict):
            plain[group].pop(name, None)
    return OmegaConf.create(_renamed(plain))


def _renamed(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _moved(value) if key == "_target_" else _renamed(value) for key, value in node.items()}
    return node


def _moved(target: Any) -> Any:
    for old, new in MOVED.items():
        if isinstance(target, str) and target.startswith(old):
            return new + target[len(old) :]
    return target
