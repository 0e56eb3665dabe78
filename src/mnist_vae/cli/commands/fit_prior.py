"""Fit a prior to the codes of the training images of a run, and write it to <run>/priors/<density>.ckpt.

    python scripts/fit_prior.py run=outputs/runs/… density=gmm

The encoder and the decoder stay as they are (ex-post density estimation: Ghosh et al. 2020). The densities:

    gmm   a mixture of Gaussians with full covariances, by EM
    flow  an affine coupling flow, as prior=flow of a training
    vamp  the mixture of the posteriors of pseudo-inputs, as prior=vamp; they start from training images

The other tools use it with prior=gmm, flow or vamp: generate.py for its samples, evaluate.py for the ELBO and the NLL.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from tqdm import tqdm

from mnist_vae.cli.entry import start
from mnist_vae.cli.options import option
from mnist_vae.cli.tools import ImageOptions, each_run
from mnist_vae.runs.fitted_priors import DENSITIES, TRAINED, prior_config, prior_file, write_prior
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.errors import SettingsError, first_line
from mnist_vae.utils.io import shown
from mnist_vae.utils.program import as_called
from mnist_vae.utils.text import aligned, number, terminal_width

if TYPE_CHECKING:
    from torch import Tensor

    from mnist_vae.data.datamodule import ImageDataModule
    from mnist_vae.models.priors import Prior
    from mnist_vae.models.vae import VAE

ARGUMENTS = {"gmm": ("components",), "flow": ("layers", "hidden_dim"), "vamp": ("components",)}


@dataclass
class FitOptions(ImageOptions):
    density: str = option(meaning=f"what to fit: {', '.join(DENSITIES)}")
    components: int | None = option(None, meaning="of gmm (10 if not given) and vamp (500)")
    layers: int | None = option(None, meaning="coupling layers of flow (6)")
    hidden_dim: int | None = option(None, meaning="width of the networks of flow (128)")
    max_epochs: int = option(100, meaning="most epochs; a fit ends when held-out codes do not gain any more")
    seed: int = option(0, meaning="seed of the fit")

    def __post_init__(self) -> None:
        if self.density not in DENSITIES:
            raise ValueError(f"density={self.density}: it must be one of {', '.join(DENSITIES)}")
        for name, value in self.arguments.items():
            of_density = ARGUMENTS[self.density]
            if name not in of_density:
                raise ValueError(f"{name}={value}: density={self.density} has none; it has {', '.join(of_density)}")
            if value < 1:
                raise ValueError(f"{name}={value}: it must be 1 or more")
        if self.max_epochs < 1:
            raise ValueError(f"max_epochs={self.max_epochs}: it must be 1 or more")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed={self.seed}: it must be 0 or more, and below 2^32")

    @property
    def arguments(self) -> dict[str, int]:
        """The arguments of the prior that were given."""
        given = {"components": self.components, "layers": self.layers, "hidden_dim": self.hidden_dim}
        return {name: value for name, value in given.items() if value is not None}


def main(options: FitOptions) -> None:
    for lines in each_run(options, partial(fit_prior, options)):
        tqdm.write(lines)


def fit_prior(options: FitOptions, run: OpenRun) -> str:
    """Fit a prior to the codes of one run; return lines with the result.

    Raises:
        SettingsError: an argument of the prior is wrong, or the run cannot have this prior.
    """
    from mnist_vae.analysis import density_estimation
    from mnist_vae.analysis.encoding import encode_images

    vae, file = run.vae, prior_file(run.folder, options.density, run.checkpoint)
    node = prior_config(options.density, options.arguments)
    prior = _initial(options, vae, node)
    data, bar = _with_held_out(run, options.data.root), partial(tqdm, leave=False, disable=None)
    encode = partial(encode_images, vae, show_progress=partial(bar, desc="encoding", unit="batch"))
    images, labels = data.fixed("train")
    train, held_out = encode(images, labels), encode(*data.fixed("val"))
    before = density_estimation.log_likelihood(vae.prior, held_out), _elbo(vae, *data.fixed("test"))
    try:
        show = partial(bar, desc=f"fitting {options.density}", unit="epoch")
        fit = density_estimation.fit(prior, train, held_out, images, options.seed, options.max_epochs, show)
    except ValueError as error:
        raise SettingsError(f"density={options.density}: {first_line(error)}.") from error
    vae.use_prior(prior)
    after = fit.log_likelihood, _elbo(vae, *data.fixed("test"))
    write_prior(file, vae, prior, node, epochs=fit.epochs, log_likelihood=fit.log_likelihood, seed=options.seed)
    rows = [["", TRAINED, options.density]]
    for name, *values in zip(("log p(z) of held-out codes", "test ELBO"), before, after, strict=True):
        rows.append([name, *(number(value, 3) for value in values)])
    folder = shown(run.folder.path)
    counts = f"{len(images):,} training images, {len(held_out.mean):,} held out; epoch {fit.epochs} is the best"
    weights = "" if run.checkpoint == "best" else f" checkpoint={run.checkpoint}"
    use = as_called(f"python scripts/generate.py run={folder} prior={options.density}{weights}")
    return "\n".join(
        [
            f"{folder}: {options.density} fitted to the codes of {counts}; nats per image",
            *aligned(rows, terminal_width(), left=[0]),
            f"written to {shown(file)}; use it as in {use}",
        ]
    )


def _initial(options: FitOptions, vae: "VAE", node: DictConfig) -> "Prior":
    """The prior before it is fitted, on the device of the VAE."""
    from mnist_vae.config.build import build_prior
    from mnist_vae.models.priors import VampPrior
    from mnist_vae.utils.seeding import seed_everything

    if options.density == "flow" and vae.latent_dim == 1:
        raise SettingsError("density=flow: this run has latent_dim=1, and a coupling flow needs 2; choose density=gmm.")
    seed_everything(options.seed)  # of the initial weights
    prior = build_prior(node, vae.latent_dim, vae.image_shape).to(vae.device)
    if isinstance(prior, VampPrior) and vae.classes:
        raise SettingsError(
            f"density={options.density}: this run is conditional, and pseudo-inputs have no label for the encoder; "
            "choose another density."
        )
    if isinstance(prior, VampPrior) and not vae.to_posterior.density_in_one_pass:
        raise SettingsError(
            f"density={options.density}: of this run's posteriors the density of a code takes latent_dim passes; "
            "choose another density."
        )
    prior.bind(vae.encode)
    return prior


def _with_held_out(run: OpenRun, root: str | None) -> "ImageDataModule":
    """The run's images; a tenth of the training images is held out if the run held out none."""
    data = run.data(root)
    return data if len(data.val_split[0]) else run.data(root, val_size=max(1, len(data.train_split[0]) // 10))


def _elbo(vae: "VAE", images: "Tensor", labels: "Tensor") -> float:
    """Mean ELBO of images in nats."""
    from mnist_vae.analysis.evaluation import image_terms

    reconstruction, kl = image_terms(vae, images, labels)
    return -(reconstruction + kl).mean().item()


def command() -> None:
    start(main, FitOptions, __doc__)
