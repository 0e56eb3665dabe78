"""Variational autoencoders on MNIST, studied by experiment.

In a notebook::

    import mnist_vae
    vae = mnist_vae.load_run("outputs/runs/2026-01-01/12-00-00")
    images = vae.sample(16)
"""

from typing import Any


def __getattr__(name: str) -> Any:
    # `--help` and shell completion import this package, so torch must not come with it.
    if name == "load_run":
        from mnist_vae.runs.load import load_run

        return load_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
