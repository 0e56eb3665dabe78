"""Variational autoencoders on MNIST, studied by experiment.

In a notebook::

    import mnist_vae

    run = mnist_vae.train(["model=conv", "latent_dim=16"], folder="outputs/mine")
    run.vae.sample(16)                                          # images (16, 1, 28, 28) in [0, 1]
    mnist_vae.load_run("outputs/mine")                          # the VAE of a run that was trained before
    mnist_vae.open_run("outputs/mine").history                  # its metrics, a row per epoch
    mnist_vae.load_sweep("outputs/sweeps/mine").to_dataframe()  # a row per run
    mnist_vae.explore(run)                                      # its latent space, with sliders and a canvas
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnist_vae.api import train
    from mnist_vae.explorer.notebook import explore
    from mnist_vae.runs.load import OpenRun, load_run, open_run
    from mnist_vae.sweeps.results import Sweep
    from mnist_vae.sweeps.results import read_sweep as load_sweep

HOMES = {
    "OpenRun": "mnist_vae.runs.load:OpenRun",
    "Sweep": "mnist_vae.sweeps.results:Sweep",
    "explore": "mnist_vae.explorer.notebook:explore",
    "load_run": "mnist_vae.runs.load:load_run",
    "load_sweep": "mnist_vae.sweeps.results:read_sweep",
    "open_run": "mnist_vae.runs.load:open_run",
    "train": "mnist_vae.api:train",
}
__all__ = ["OpenRun", "Sweep", "__version__", "explore", "load_run", "load_sweep", "open_run", "train"]


def __getattr__(name: str) -> Any:
    # `--help` and shell completion import this package, so torch must not come with it; nor with what only reads files.
    if name == "__version__":
        from importlib.metadata import version

        return version("mnist-vae")
    if name in HOMES:
        from pkgutil import resolve_name

        return resolve_name(HOMES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
