"""Evaluate runs on their test images: print metrics with standard errors and write <run>/evaluation.json.

    python scripts/evaluate.py run=outputs/runs/…
    python scripts/evaluate.py run=outputs/runs/… nll.samples=5000
    python scripts/evaluate.py run=outputs/runs/… samples.count=10000
    python scripts/evaluate.py run=outputs/runs/… nll.samples=5000 data.binarize=dynamic

Metrics: ELBO, reconstruction and KL; the two parts of the KL, mutual information and marginal KL (Hoffman & Johnson
2016), and the part of the latter that is the total correlation (Chen et al. 2018); the KL of each layer of a ladder,
the first being the top; active units (Burda et al. 2016); accuracy of k-NN and logistic regression on the posterior
means, fitted on all training images. With nll.samples also -log p(x) by importance sampling (Burda et al. 2016): after
Ctrl-C, the same command resumes it. With samples.count the quality of samples in the features of a small classifier,
which is trained once per data set: Fréchet distance to the test images (Heusel et al. 2017), precision and recall
(Kynkäänniemi et al. 2019).

The parts of the KL are estimated from both sides, "0.13 to 0.88", or "≤ 0.88" where the lower estimate is not above 0.
Of grey levels that are read as probabilities, ELBO and NLL are bounds, no log p(x) of an image; with data.binarize
binarised test images are scored, as papers do, and the results are in evaluation_dynamic.json and the like.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_vae.cli.entry import start
from mnist_vae.cli.options import group, option
from mnist_vae.cli.tools import DataOptions, ImageOptions, PriorOptions, each_run
from mnist_vae.data.binarize import Binarize
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.io import shown
from mnist_vae.utils.text import DASH, aligned, number, terminal_width

NATS = {
    "elbo": "ELBO",
    "reconstruction": "  reconstruction",
    "kl": "  KL",
    "mutual_information": "    mutual information",
    "marginal_kl": "    marginal KL",
    "total_correlation": "      total correlation",
}
ACCURACIES = {"knn_accuracy": "k-NN accuracy", "logistic_regression_accuracy": "logistic regression"}
PARTS = {  # of the KL: the names of their lower and upper estimates
    "mutual_information": ("mutual_information", "mutual_information_upper"),
    "marginal_kl": ("marginal_kl_lower", "marginal_kl"),
    "total_correlation": ("total_correlation_lower", "total_correlation"),
}
COLUMNS = ["ELBO", "reconstruction", "KL", "I(x;z)", "marginal KL", "active", "k-NN", "logistic"]
NLL_COLUMNS = ["NLL", "effective"]
QUALITY = {"frechet_distance": "Fréchet distance", "precision": "precision", "recall": "recall"}
QUALITY_COLUMNS = ["Fréchet", "precision", "recall"]
FEW = 10  # effective samples, below which the estimate is unreliable
SHORTEST = 24  # characters to which the name of a run is cut for the others to fit beside it

Evaluated = tuple[Path, dict[str, Any]]  # evaluation.json and its content


@dataclass
class NLLOptions:
    samples: int = option(0, meaning="importance samples per image for -log p(x), typically thousands; 0 for none")

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise ValueError(f"nll.samples={self.samples}: it must be 0 or more")


@dataclass
class SampleOptions:
    count: int = option(0, meaning="samples whose quality is measured, typically all that it can be: 10000; 0 for none")


@dataclass
class PixelOptions(DataOptions):
    binarize: Binarize | None = option(
        None, meaning="none, dynamic or threshold: other pixels than the run was trained with"
    )


@dataclass
class EvaluateOptions(PriorOptions, ImageOptions):
    data: PixelOptions = group(PixelOptions)
    nll: NLLOptions = group(NLLOptions)
    samples: SampleOptions = group(SampleOptions)


def main(options: EvaluateOptions) -> None:
    def work(run: OpenRun) -> Evaluated:
        from mnist_vae.analysis.evaluation import evaluate, results_file

        if options.data.binarize is not None:
            run = run.binarized(options.data.binarize)
        return results_file(run), evaluate(run, options.data.root, options.nll.samples, options.samples.count)

    done: list[Evaluated] = []
    try:
        for evaluated in each_run(options, work):
            done.append(evaluated)
    finally:
        if len(done) == 1:
            print(card(*done[0]))
        elif done:
            print(table(done))


def card(file: Path, values: dict[str, Any]) -> str:
    """Format the results of one run, a metric per line."""
    measured = f"{values['test_images']:,} test images of {values['dataset']}, epoch {values['epochs']}"
    lines = [f"{shown(file.parent)}: {measured}"]
    layers = [name.removeprefix("test/") for name in values if re.fullmatch(r"test/kl_layer_\d+", name)]
    for name, heading in (NATS | {name: f"    KL of {name[3:].replace('_', ' ')}" for name in layers}).items():
        if f"test/{name}" in values:
            lines.append(f"{heading:<24} {_nats(values, name)} nats")
    if "test/nll" in values:
        heading = "NLL of grey levels" if values["grey_levels_as_probabilities"] else "NLL"
        lines.append(f"{heading:<24} {_nats(values, 'nll')} nats")
    if "test/nll_half" in values:
        lines.append(f"{'  of half the samples':<24} {number(values['test/nll_half'], 3):>9} nats")
    lines.append(f"{'active units':<24} {values['test/active_units']:>9} of {values['latent_dim']}")
    for name, heading in ACCURACIES.items():
        lines.append(f"{heading:<24} {_percent(values, name)} %")
    if "sample_count" in values:
        lines += [f"{QUALITY[name]:<24} {number(values[f'test/{name}'], 3):>9}" for name in QUALITY]
    return "\n".join([*lines, *_notes([values]), f"written to {shown(file)}"])


def table(done: list[Evaluated]) -> str:
    """Format the results of several runs, a run per row; standard errors that are not shown are in the files."""
    from mnist_vae.training.board import short_names

    with_nll = any("test/nll" in values for _, values in done)
    with_quality = any("sample_count" in values for _, values in done)
    with_pixels = len({values["binarize"] for _, values in done}) > 1
    headings = ["run", *(["binarize"] if with_pixels else []), *COLUMNS]
    names = short_names(file.parent for file, _ in done)
    rows = [[*headings, *(NLL_COLUMNS if with_nll else []), *(QUALITY_COLUMNS if with_quality else [])]]
    for file, values in done:
        pixels = [values["binarize"]] if with_pixels else []
        terms = [number(values[f"test/{name}"], 3) for name in ("reconstruction", "kl")]
        parts = [_part(values, name, 2) for name in ("mutual_information", "marginal_kl")]
        accuracies = [f"{values[f'test/{name}']:.2%}" for name in ACCURACIES]
        units = f"{values['test/active_units']} of {values['latent_dim']}"
        last = [*(_nll(values) if with_nll else []), *(_quality(values) if with_quality else [])]
        rows.append([names[file.parent], *pixels, _nats(values, "elbo"), *terms, *parts, units, *accuracies, *last])
    width = terminal_width()
    numbers = sum(2 + max(map(len, column)) for column in zip(*(row[1:] for row in rows), strict=True))
    shortened = _ends([row[0] for row in rows], max(SHORTEST, width - numbers))
    lines = aligned([[name, *row[1:]] for name, row in zip(shortened, rows, strict=True)], width, left=[0])
    files = sorted({file.name for file, _ in done})
    return "\n".join([*lines, *_notes([values for _, values in done]), f"written to {', '.join(files)} in each folder"])


def _ends(names: list[str], longest: int) -> list[str]:
    """The ends of names that are too long, as long as it takes to tell them apart."""
    while True:
        ends = [name if len(name) <= longest else f"…{name[1 - longest :]}" for name in names]
        if len(set(ends)) == len(set(names)):
            return ends
        longest += 1


def _nll(values: dict[str, Any]) -> list[str]:
    """The cells of NLL_COLUMNS of one run; dashes where none was estimated."""
    if "test/nll" not in values:
        return [DASH, DASH]
    return [_nats(values, "nll"), f"{values['test/nll_effective_samples']:,.0f} of {values['nll_samples']:,}"]


def _quality(values: dict[str, Any], split: str = "test") -> list[str]:
    """The cells of QUALITY_COLUMNS of one run; dashes where they were not measured."""
    return [number(values[f"{split}/{name}"], 3) if f"{split}/{name}" in values else DASH for name in QUALITY]


def _nats(values: dict[str, Any], name: str) -> str:
    """Format a metric and its standard error; of one with two ends, the larger of those that are shown."""
    if name not in PARTS:
        return f"{number(values[f'test/{name}'], 3):>9} ± {number(values[f'test/{name}_standard_error'], 3)}"
    ends = PARTS[name] if _informative(values, name) else [name]
    error = max(values[f"test/{end}_standard_error"] for end in ends)
    return f"{_part(values, name, 3):>9} ± {number(error, 3)}"


def _part(values: dict[str, Any], name: str, digits: int) -> str:
    """Format a part of the KL as `lower to upper`, or by one end if the other says nothing; a dash if it is absent.

    Negative estimates are shown as 0, below which none of the quantities can be.
    """
    if f"test/{name}" not in values:
        return DASH
    lower, upper = (number(max(values[f"test/{end}"], 0.0), digits) for end in PARTS[name])
    if _informative(values, name):
        return f"{lower} to {upper}"
    return f"≥ {lower}" if name == "mutual_information" else f"≤ {upper}"


def _informative(values: dict[str, Any], name: str) -> bool:
    """Whether both ends of a part of the KL say something.

    The lower end of a KL does if it is above 0, and the upper end of the mutual information if it is below the KL term
    of the same images, which is where the lower end of the marginal KL is above 0.
    """
    lower = PARTS["marginal_kl" if name == "mutual_information" else name][0]
    return bool(values[f"test/{lower}"] > 0)


def _percent(values: dict[str, Any], name: str) -> str:
    """Format a metric in [0, 1] and its standard error in percent."""
    return f"{100 * values[f'test/{name}']:>9.2f} ± {100 * values[f'test/{name}_standard_error']:.2f}"


def _notes(results: list[dict[str, Any]]) -> list[str]:
    """Notes below the results: what the estimates are of, and how far they can be trusted."""
    lines = ["± one standard error over test images"]
    counts = sorted({values["test_images"] for values in results if "test/mutual_information" in values})
    if counts:
        limits = ", ".join(f"log {count:,} = {math.log(count):.2f}" for count in counts)
        lines.append("a to b: estimates biased to either side of the truth; ≥ a, ≤ b: the other one says nothing,")
        lines.append(f"     as where I(x;z) is near {limits} nats, which its lower estimate cannot exceed")
    if any(values["grey_levels_as_probabilities"] for values in results):
        lines.append(
            "grey levels are read as probabilities: -ELBO and NLL bound, from above, the expected -log p(x) of"
        )
        lines.append(
            "     images binarised with them, and are that of no image; data.binarize=dynamic scores such images"
        )
    with_nll = [values for values in results if "test/nll" in values]
    lines += _nll_notes(with_nll, len(results)) if with_nll else []
    return lines + _quality_notes(results)


def _nll_notes(results: list[dict[str, Any]], total: int) -> list[str]:
    """Notes on the NLL of the runs that have one, of `total` runs: samples, Monte Carlo error and bias."""
    single = f"{_nll(results[0])[1]} samples per image are effective (median image)"
    what = single if total == 1 else "effective samples per image, of all that were drawn (median image)"
    several = [values for values in results if values["nll_samples"] > 1]
    worst = ", at worst" if len(several) > 1 else ""
    error = max((values["test/nll_monte_carlo_error"] for values in several), default=None)
    lines = [f"NLL: {what}" + (f"; Monte Carlo error {error:.3f} nats{worst}" if several else "")]
    if several:
        bias = max(values["test/nll_half"] - values["test/nll"] for values in several)
        lines.append(f"     half of the samples give {bias:.3f} nats more{worst}; about as much bias remains, or more")
    if len(results) < total:
        lines.append(f"     {DASH} where it was not estimated; nll.samples=… does that")
    if any(round(values["test/nll_effective_samples"]) < FEW for values in results):
        lines.append(f"     with fewer than {FEW} effective samples the NLL is overestimated by more; use more samples")
    return lines


def _quality_notes(results: list[dict[str, Any]]) -> list[str]:
    """How many samples were measured by which classifier, and what training images in their place would have."""
    notes: dict[str, None] = {}  # each once, in the order of the runs
    for values in results:
        if "sample_count" in values:
            accuracy = f"{values['feature_classifier_accuracy']:.2%}"
            cells = zip(QUALITY.values(), _quality(values, "train"), strict=True)
            notes[
                f"samples: {values['sample_count']:,}, in features of a classifier of {values['dataset']} of accuracy "
                f"{accuracy};\n         training images in their place have {', '.join(map(' '.join, cells))}"
            ] = None
    return list(notes)


def command() -> None:
    start(main, EvaluateOptions, __doc__)
