"""Shared by the tools on runs: their options, and the runs that they work on."""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from mnist_vae.cli.options import group, option
from mnist_vae.config.error_messages import sentence
from mnist_vae.config.schema import Device
from mnist_vae.runs.fitted_priors import DENSITIES, TRAINED
from mnist_vae.runs.folder import find_runs
from mnist_vae.runs.load import OpenRun, open_run
from mnist_vae.utils.errors import UnwritableError, UserError
from mnist_vae.utils.io import shown

T = TypeVar("T")
Options = TypeVar("Options")


class Checkpoint(Enum):
    """The checkpoint whose weights are used."""

    best = "best"  # epoch on validation images
    last = "last"  # the last epoch


@dataclass
class DataOptions:
    root: str | None = option(None, meaning="the images' folder; the run's own if it is here, else $MNIST_VAE_DATA")


@dataclass
class RunOptions:
    """Options of every tool on runs."""

    run: str = option(meaning="a run's folder; or a folder of runs, such as a sweep; or a glob, in quotes")
    checkpoint: Checkpoint = option(Checkpoint.best, meaning="best, or last for the last epoch's weights")
    trust: str = option("", meaning="packages of your own whose code a run may name, as my_vae or my_vae,other")


@dataclass
class PriorOptions(RunOptions):
    """Options of a tool whose results depend on the prior."""

    prior: str = option(TRAINED, meaning=f"trained, or one that fit_prior.py has fitted: {', '.join(DENSITIES)}")


@dataclass
class ImageOptions(RunOptions):
    """Options of a tool that applies a run's model to images."""

    accelerator: Device = option(Device.auto, meaning="auto, cpu, gpu or mps")
    data: DataOptions = group(DataOptions)


def each_run(options: RunOptions, work: Callable[[OpenRun], T]) -> Iterator[T]:
    """Open every run that the options name, on the chosen device, and yield the result of `work` on it.

    Of several runs, one that fails does not stop the others; the failures are reported at the end.

    Raises:
        UserError: there is no such run, or some of them failed.
    """
    paths = find_runs(options.run)
    failed = 0
    for path in tqdm(paths, unit="run", leave=False, disable=len(paths) == 1 or None):
        try:
            result = _open_and_work(path, options, work)
        except Exception as error:
            if len(paths) == 1:
                raise
            failed += 1
            tqdm.write(f"error in {shown(path)}: {sentence(error)}", file=sys.stderr)
            continue
        yield result
    if failed:
        raise UserError(f"{failed} of {len(paths)} runs failed; the reasons are above.")


def open_chosen(path: Path, options: RunOptions) -> OpenRun:
    """Open a run with the checkpoint, trust, prior and device that the options name; say if it is not complete.

    Raises:
        UserError: it cannot be opened, or there is no such device.
    """
    from mnist_vae.training import hardware

    accelerator = options.accelerator if isinstance(options, ImageOptions) else Device.cpu
    device = hardware.torch_device(hardware.resolve_device(accelerator))
    prior = options.prior if isinstance(options, PriorOptions) else TRAINED
    run = open_run(path, options.checkpoint.name, re.findall(r"[\w.]+", options.trust), prior)
    run.vae.to(device)
    if not run.folder.complete:
        tqdm.write(f"{shown(path)} is not complete; these are its weights after epoch {run.epochs}.")
    return run


def _open_and_work(path: Path, options: RunOptions, work: Callable[[OpenRun], T]) -> T:
    from mnist_vae.training import hardware

    run = open_chosen(path, options)
    try:
        with hardware.pinned_threads():
            return work(run)
    except OSError as error:
        raise UnwritableError(error, error.filename or path, "copy the run to another folder") from error
