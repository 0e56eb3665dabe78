"""Evaluation of a trained run on its test images: metrics with standard errors, written to evaluation.json."""

import time
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from mnist_vae.analysis import metrics
from mnist_vae.analysis.encoding import encode_images
from mnist_vae.analysis.metrics import Estimate
from mnist_vae.analysis.nll import finished_weights, likelihood_values, resumable_weights
from mnist_vae.analysis.probes import CLASSIFIERS
from mnist_vae.analysis.sample_quality import check_count, finished_sample_values, sample_values
from mnist_vae.data.batches import EVALUATION_BATCH, EVALUATION_SEED
from mnist_vae.models.posteriors import GAUSSIANS, LadderPosterior, Posterior, mapped
from mnist_vae.models.vae import VAE
from mnist_vae.runs.fitted_priors import TRAINED
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.io import write_json
from mnist_vae.utils.pixels import to_unit
from mnist_vae.utils.seeding import Noise

STAGES = ("ELBO", "encoding", *CLASSIFIERS)
FEW_CODES = 1000  # of estimates whose cost is proportional to codes * images * latent_dim


def evaluate(
    run: OpenRun, root: str | None = None, nll_samples: int = 0, sample_count: int = 0
) -> dict[str, float | str]:
    """Evaluate a run on its test images and write evaluation.json.

    For the checkpoint `last` the file is evaluation_last.json; with a prior fitted to it, evaluation_prior-gmm.json and
    the like; for pixels that are binarised in another way than the run was trained with, evaluation_dynamic.json.

    Args:
        run: the run, with one of its checkpoints loaded; see OpenRun.binarized for other pixels.
        root: folder of the data set, see OpenRun.data.
        nll_samples: importance samples per image for -log p(x), see nll.py; with 0, the result of an earlier call is
            included if there is one.
        sample_count: samples whose quality is measured, see sample_quality.py; with 0 likewise.

    Returns:
        Flat: `test/elbo`, `test/reconstruction`, `test/kl`, those of `information_estimates` and, for a ladder with the
        prior it was trained with, of `kl_by_layer` in nats per image, `test/knn_accuracy` and
        `test/logistic_regression_accuracy` in [0, 1], each with its `…_standard_error`; `test/active_units`; the values
        of nll.likelihood_values and of sample_quality.sample_values, if estimated; and the data set, checkpoint, prior
        and duration of the evaluation. If `grey_levels_as_probabilities` is true, ELBO and NLL are of grey levels under
        a likelihood of pixels in {0, 1}, whose logarithm is then the expected one of an image binarised with the grey
        levels as probabilities. They bound the expected log p(x) of such images from below, by Jensen's inequality, and
        are log p(x) of none.

    Raises:
        DataError: the images are not available.
        SettingsError: the data settings are not valid, or there are fewer test images than samples.
        UnwritableError: the classifier in whose features samples are compared cannot be kept.
    """
    start = time.perf_counter()
    # The whole training set, without a validation split, so that the classifiers of all runs are comparable.
    data = run.data(root, val_size=0)
    images, labels = data.fixed("test")
    if sample_count:
        check_count(sample_count, data, run.cfg.data.name)
    with tqdm(total=len(STAGES), leave=False, disable=None, bar_format="{desc:<24}{bar}| {n}/{total}") as bar:
        bar.set_description("ELBO")
        reconstruction, kl = image_terms(run.vae, images, labels)
        terms = {"elbo": -(reconstruction + kl), "reconstruction": reconstruction, "kl": kl}
        estimates = {name: Estimate.of(term) for name, term in terms.items()}
        bar.update()
        bar.set_description("encoding")
        posterior = encode_images(run.vae, images, labels)
        if run.vae.to_posterior.density_in_one_pass:
            estimates |= information_estimates(posterior, kl)
        if isinstance(posterior, LadderPosterior) and run.prior == TRAINED:
            estimates |= kl_by_layer(posterior)
        train_images, train_labels = data.fixed("train")
        train_means = encode_images(run.vae, train_images, train_labels).mean.numpy()
        bar.update()
        for name, classify in CLASSIFIERS.items():
            bar.set_description(name.replace("_", " "))
            predicted = classify(train_means, train_labels.numpy(), posterior.mean.numpy())
            estimates[f"{name}_accuracy"] = Estimate.of(torch.from_numpy(predicted) == labels)
            bar.update()
    values: dict[str, float | str] = {}
    for name, estimate in estimates.items():
        values |= {f"test/{name}": estimate.mean, f"test/{name}_standard_error": estimate.standard_error}
    if sample_count:  # first, since the NLL may take hours
        values |= sample_values(run, data, sample_count)
    else:
        values |= finished_sample_values(results_file(run), run, data)
    if nll_samples:
        values |= likelihood_values(resumable_weights(run, images, labels, nll_samples))
    elif weights := finished_weights(run, images, labels):
        values |= likelihood_values(weights)
    values |= {
        "test/active_units": metrics.active_units(posterior.mean),
        "latent_dim": run.vae.latent_dim,
        "dataset": run.cfg.data.name,
        "binarize": run.cfg.data.binarize.name,
        "grey_levels_as_probabilities": not run.vae.likelihood.grey_only and _is_grey(images),
        "test_images": len(images),
        "classifier_images": len(train_images),
        "checkpoint": run.checkpoint,
        "prior": run.prior,
        "epochs": run.epochs,
        "complete": run.folder.complete,
        "seconds": round(time.perf_counter() - start, 3),
    }
    if run.folder.complete:  # what a report recognises it by, whatever draws the run's own test made
        values["run_test_elbo"] = run.folder.read_metrics()["test/elbo"]
    write_json(results_file(run), values)
    return values


def _is_grey(images: Tensor) -> bool:
    """Whether uint8 images have pixels that are neither 0 nor 255."""
    return bool(((images > 0) & (images < 255)).any())


def results_file(run: OpenRun) -> Path:
    """Path of a run's evaluation.json."""
    return run.folder.path / f"evaluation{run.suffix}.json"


@torch.no_grad()
def image_terms(vae: VAE, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the reconstruction and KL term of each image in nats, (n,) float64.

    Where the objective draws one sample of z per image and nothing else, samples are those of the test at the end of
    training, so the means equal the metrics of the run; importance-weighted objectives, MMD and RAE's penalty of the
    gradient draw more, and the means differ by the error of the estimates.

    Args:
        images: uint8 (n, channels, height, width).
        labels: (n,), for a conditional VAE.
    """
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    terms = []
    for batch, given in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        noise = Noise(len(batch), generator=generator)
        batch_terms = vae.elbo_terms(to_unit(batch.to(vae.device)), noise, given)
        terms.append([term.cpu().double() for term in batch_terms])
    reconstruction, kl = zip(*terms, strict=True)
    return torch.cat(reconstruction), torch.cat(kl)


@torch.no_grad()
def kl_by_layer(posterior: LadderPosterior) -> dict[str, Estimate]:
    """Estimate the KL term of each stochastic layer, `kl_layer_1` being the top.

    Their sum differs from the estimate of the whole KL term only by the samples of z.
    """
    noise = torch.randn(posterior.encoded_mean.shape, generator=torch.Generator().manual_seed(EVALUATION_SEED))
    terms = posterior.kl_by_group(posterior.rsample(noise))
    return {f"kl_layer_{i}": Estimate.of(term) for i, term in enumerate(terms, start=1)}


def information_estimates(posterior: Posterior, kl: Tensor) -> dict[str, Estimate]:
    """Estimate the parts of the KL term in nats, each from both sides; of posteriors that are no Gaussians, whose
    dimensions have no density in closed form, without the total correlation.

    The aggregate posterior q(z) = E q(z|x) has to be estimated from the posteriors of n images. With the posterior from
    which a code was drawn among them, the mutual information is too low in expectation, and the two others are too
    high; without it, the opposite. The truth is in between:

    - from `mutual_information`, at most log n, to `mutual_information_upper`;
    - from `marginal_kl_lower` to `marginal_kl`;
    - from `total_correlation_lower` to `total_correlation`.

    A KL is never negative, so a lower end that is not positive says nothing, nor does a `mutual_information_upper` that
    is not below the KL term. This is so where posteriors hardly overlap.

    Args:
        posterior: q(z|x) of n images.
        kl: KL(q(z|x) || p(z)) of each, (n,).
    """
    noise = torch.randn(posterior.mean.shape, generator=torch.Generator().manual_seed(EVALUATION_SEED))
    z = posterior.rsample(noise)
    # MNIST's first test images are easier, so where a few codes are used, they are random ones.
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(EVALUATION_SEED))
    posterior, z, kl = mapped(posterior, lambda part: part[order]), z[order], kl[order]
    is_gaussian = isinstance(posterior, GAUSSIANS)
    if not is_gaussian:  # whose densities under all posteriors are no matrix product
        z, kl = z[:FEW_CODES], kl[:FEW_CODES]
    information = metrics.mutual_information(posterior, z)
    marginal = metrics.marginal_kl(kl, information)
    values = {
        "mutual_information": information.lower,
        "mutual_information_upper": information.upper,
        "marginal_kl": marginal.upper,
        "marginal_kl_lower": marginal.lower,
    }
    if is_gaussian:
        correlation = metrics.total_correlation(posterior, z[:FEW_CODES])
        values |= {"total_correlation": correlation.upper, "total_correlation_lower": correlation.lower}
    return {name: Estimate.of(value) for name, value in values.items()}
