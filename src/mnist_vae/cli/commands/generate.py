"""Generate images with the model of a run; write them as PNG and as arrays to <run>/generated/.

    python scripts/generate.py run=outputs/runs/… count=100 seed=0 temperature=0.8
    python scripts/generate.py run=outputs/runs/… label=7
    python scripts/generate.py run=outputs/runs/… like=3,7

The first command decodes samples from the prior, with all labels in turn if the model is conditional; the second one
with the given label only. The third takes test images with the given labels, reconstructs them, interpolates from each
label to the next, and decodes samples of the posterior of one image per label. The .npz file contains the codes and all
images, float32 in [0, 1].
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from mnist_vae.cli.entry import start
from mnist_vae.cli.options import option
from mnist_vae.cli.tools import ImageOptions, PriorOptions, each_run
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.io import shown

if TYPE_CHECKING:
    from torch import Tensor

MAX_SHOWN = 400  # samples in the PNG; the .npz file contains all of them


@dataclass
class GenerateOptions(PriorOptions, ImageOptions):
    count: int = option(100, meaning="number of samples")
    seed: int = option(0, meaning="seed of the samples, or of the choice of test images and their variations")
    temperature: float = option(
        1.0, meaning="scale of the standard deviation of the samples; below 1 they are less varied"
    )
    label: int | None = option(
        None, meaning="label of the samples, for a run with conditional=true; all in turn if not given"
    )
    like: str = option("", meaning="labels, as in like=3,7: use test images with these labels instead of samples")

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count={self.count}: it must be 1 or more")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed={self.seed}: it must be 0 or more, and below 2^63")
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature={self.temperature}: it must be 0 or more, and finite")
        if self.label is not None and self.like:
            raise ValueError(f"label={self.label} with like={self.like}: give one of them")
        if not all(label.strip().isdecimal() for label in self.like.split(",") if self.like):
            raise ValueError(f"like={self.like}: it must be labels separated by commas, as in like=3,7")


def main(options: GenerateOptions) -> None:
    for line in each_run(options, partial(generate_variations if options.like else generate_samples, options)):
        tqdm.write(line)


def generate_samples(options: GenerateOptions, run: OpenRun) -> str:
    """Write samples from the prior of one run; return a line that describes the files."""
    import math

    from mnist_vae import figures
    from mnist_vae.analysis import generation
    from mnist_vae.figures.png import png
    from mnist_vae.utils.io import write_atomically

    bar = partial(tqdm, desc="decoding", unit="batch", leave=False, disable=None)
    labels = _labels(run, options)
    codes, images = generation.sample(run.vae, options.count, options.seed, options.temperature, labels, bar)
    name = f"samples_{options.count}" if options.label is None else f"samples_{options.count}_label{options.label}"
    path = _output_path(run, name, options)
    shown_images = images[:MAX_SHOWN].numpy()
    grid = figures.image_grid(shown_images, columns=math.ceil(len(shown_images) ** 0.5))
    write_atomically(path.with_suffix(".png"), png(grid))
    first = f" (the first {MAX_SHOWN} of them)" if options.count > MAX_SHOWN else ""
    arrays = {"codes": codes, "images": images} | ({"labels": labels} if labels is not None else {})
    return _save(path, first, **arrays)


def _labels(run: OpenRun, options: GenerateOptions) -> "Tensor | None":
    """Labels of the samples, (count,); None for an unconditional model.

    Raises:
        SettingsError: a label is given, but the model is unconditional or has no such label.
    """
    import torch

    from mnist_vae.figures.sample_images import labels_in_turn

    if options.label is None:
        return labels_in_turn(run.vae, options.count)
    if not run.vae.classes:
        raise SettingsError(f"label={options.label}: this run is not conditional; train one with conditional=true.")
    if not 0 <= options.label < run.vae.classes:
        raise SettingsError(f"label={options.label}: it must be from 0 to {run.vae.classes - 1}.")
    return torch.full((options.count,), options.label)


def generate_variations(options: GenerateOptions, run: OpenRun) -> str:
    """Write reconstructions, interpolations and variations of test images; return a line that describes the files.

    Raises:
        SettingsError: a label does not occur in the test images.
    """
    from mnist_vae import figures
    from mnist_vae.analysis import generation
    from mnist_vae.figures.png import write_figure

    data = run.data(options.data.root)
    split = data.test_split
    labels, existing = [int(label) for label in options.like.split(",")], sorted(set(split[1].tolist()))
    for label in labels:
        if label not in existing:
            raise SettingsError(f"like={options.like}: {run.cfg.data.name} has no {label}; its labels are {existing}.")
    result = generation.vary(run.vae, split, labels, options.seed, options.temperature)
    figure = figures.variations(
        [data.classes[label] for label in labels],
        result.originals.numpy(),
        result.reconstructions.numpy(),
        result.interpolations.numpy(),
        result.variations.numpy(),
    )
    path = _output_path(run, f"like_{'_'.join(map(str, labels))}", options)
    write_figure(path.with_suffix(".png"), figure)
    return _save(path, "", **result._asdict())


def _output_path(run: OpenRun, name: str, options: GenerateOptions) -> Path:
    """Path of the .npz file, whose name contains all options, so that other results are not overwritten."""
    temperature = str(options.temperature).removesuffix(".0")
    name = f"{name}_seed{options.seed}_temperature{temperature}{run.suffix}"
    return run.folder.subfolder("generated") / f"{name}.npz"


def _save(path: Path, note: str, **arrays: "Tensor") -> str:
    """Write the .npz file; return a line that describes both files."""
    import numpy as np

    from mnist_vae.utils.io import write_atomically

    content: dict[str, Any] = {name: value.numpy() for name, value in arrays.items()}
    write_atomically(path, partial(np.savez_compressed, **content))
    return f"{shown(path.with_suffix('.png'))}{note}, and .npz with {', '.join(arrays)}"


def command() -> None:
    start(main, GenerateOptions, __doc__)
