"""Export the VAE of a run to ONNX and safetensors, in <run>/export/.

    python scripts/export.py run=outputs/runs/…

encoder.onnx: images x (batch, channels, height, width) in [0, 1] -> mean, log_var of q(z|x), each (batch, latent_dim).
decoder.onnx: codes z (batch, latent_dim) -> images E[x|z] (batch, channels, height, width) in [0, 1].
vae.safetensors: the weights.

The files of a conditional VAE have the additional input `labels` (batch,) int64. Each file is checked against torch
before it is written to the folder.
"""

import json
from typing import TYPE_CHECKING

from omegaconf import OmegaConf
from tqdm import tqdm

from mnist_vae.cli.entry import start
from mnist_vae.cli.tools import PriorOptions, each_run
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.io import shown

if TYPE_CHECKING:
    from mnist_vae.analysis.export import ExportedFile


def main(options: PriorOptions) -> None:
    from mnist_vae.analysis.export import require_packages

    require_packages()  # before the first run, rather than for each run
    for files in each_run(options, export):
        tqdm.write(table(files))


def export(run: OpenRun) -> "list[ExportedFile]":
    """Export one run."""
    from mnist_vae.analysis.export import export_vae

    groups = {name: json.dumps(OmegaConf.to_container(run.cfg[name])) for name in ("model", "likelihood", "prior")}
    metadata = {**groups, "checkpoint": run.checkpoint, "epochs": str(run.epochs)}
    return export_vae(run.vae, run.folder.subfolder(f"export{run.suffix}"), metadata)


def table(files: "list[ExportedFile]") -> str:
    """Format the files of one run as a table."""
    rows = [f"{file.path.name:<16} {file.size / 1e6:>7.2f} MB {file.difference:>18.2g}" for file in files]
    return "\n".join(["file                   size  differs from torch", *rows, f"in {shown(files[0].path.parent)}"])


def command() -> None:
    start(main, PriorOptions, __doc__)
