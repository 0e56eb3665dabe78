"""Encode the images of a run; write their posteriors to <run>/encodings/<split>.npz.

    python scripts/encode.py run=outputs/runs/… split=test

The file contains `mean` and `log_var` of each dimension of q(z|x), both (images, latent_dim), and `labels`, (images,):

    import numpy as np
    codes = np.load("outputs/runs/…/encodings/test.npz")
    sklearn.manifold.TSNE().fit_transform(codes["mean"])
"""

from dataclasses import dataclass
from enum import Enum
from functools import partial

from tqdm import tqdm

from mnist_vae.cli.entry import start
from mnist_vae.cli.options import option
from mnist_vae.cli.tools import ImageOptions, each_run
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.io import shown


class Split(Enum):
    train = "train"
    val = "val"
    test = "test"


@dataclass
class EncodeOptions(ImageOptions):
    split: Split = option(Split.test, meaning="train, val or test, as the run split them")


def main(options: EncodeOptions) -> None:
    for line in each_run(options, partial(encode, options)):
        tqdm.write(line)


def encode(options: EncodeOptions, run: OpenRun) -> str:
    """Encode one split of one run; return a line that describes the file.

    Raises:
        SettingsError: the split is empty.
    """
    import numpy as np

    from mnist_vae.analysis.encoding import encode_images
    from mnist_vae.utils.io import write_atomically

    images, labels = run.data(options.data.root).fixed(options.split.name)
    if not len(images):
        raise SettingsError(f"split={options.split.name}: the run held no images out (data.val_size=0).")
    bar = partial(tqdm, desc="encoding", unit="batch", leave=False, disable=None)
    posterior = encode_images(run.vae, images, labels, bar)
    mean, log_var = (part.numpy() for part in (posterior.mean, posterior.log_var))
    path = run.folder.subfolder("encodings") / f"{options.split.name}{run.suffix}.npz"
    write_atomically(path, partial(np.savez, mean=mean, log_var=log_var, labels=labels.numpy()))
    return f"{len(mean):,} images, {mean.shape[1]} latent dimensions: {shown(path)}"


def command() -> None:
    start(main, EncodeOptions, __doc__)
