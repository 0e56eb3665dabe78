"""Evaluate runs on their test images: print metrics with standard errors and write <run>/evaluation.json.

    python scripts/evaluate.py run=outputs/runs/…
    python scripts/evaluate.py run=outputs/runs/… nll.samples=5000

Metrics: ELBO, reconstruction and KL; the two parts of the KL, mutual information and marginal KL (Hoffman & Johnson
2016), and the part of the latter that is the total correlation (Chen et al. 2018); active units (Burda et al. 2016);
accuracy of k-NN and logistic regression on the posterior means, fitted on all training images. With nll.samples also
-log p(x) by importance sampling (Burda et al. 2016): after Ctrl-C, the same command resumes it.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnist_vae.cli.entry import start
from mnist_vae.cli.options import group, option
from mnist_vae.cli.tools import ImageOptions, PriorOptions, each_run
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
COLUMNS = ["ELBO", "reconstruction", "KL", "I(x;z)", "marginal KL", "active", "k-NN", "logistic"]
NLL_COLUMNS = ["NLL", "effective"]
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
class EvaluateOptions(PriorOptions, ImageOptions):
    nll: NLLOptions = group(NLLOptions)


def main(options: EvaluateOptions) -> None:
    def work(run: OpenRun) -> Evaluated:
        from mnist_vae.analysis.evaluation import evaluate, results_file

        return results_file(run), evaluate(run, options.data.root, options.nll.samples)

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
    for name, heading in NATS.items():
        lines.append(f"{heading:<24} {_nats(values, name)} nats")
    if "test/nll" in values:
        lines.append(f"{'NLL':<24} {_nats(values, 'nll')} nats")
    lines.append(f"{'active units':<24} {values['test/active_units']:>9} of {values['latent_dim']}")
    for name, heading in ACCURACIES.items():
        lines.append(f"{heading:<24} {_percent(values, name)} %")
    return "\n".join([*lines, *_notes([values]), f"written to {shown(file)}"])


def table(done: list[Evaluated]) -> str:
    """Format the results of several runs, a run per row; standard errors that are not shown are in the files."""
    with_nll = any("test/nll" in values for _, values in done)
    rows = [["run", *COLUMNS, *(NLL_COLUMNS if with_nll else [])]]
    for file, values in done:
        terms = [number(values[f"test/{name}"], 3) for name in list(NATS)[1:5]]
        accuracies = [f"{values[f'test/{name}']:.2%}" for name in ACCURACIES]
        units = f"{values['test/active_units']} of {values['latent_dim']}"
        nll = _nll(values) if with_nll else []
        rows.append([shown(file.parent), _nats(values, "elbo"), *terms, units, *accuracies, *nll])
    width = terminal_width()
    numbers = sum(2 + max(map(len, column)) for column in zip(*(row[1:] for row in rows), strict=True))
    longest = max(SHORTEST, width - numbers)
    lines = aligned([[_end(row[0], longest), *row[1:]] for row in rows], width, left=[0])
    return "\n".join([*lines, *_notes([values for _, values in done]), f"written to {done[0][0].name} in each folder"])


def _end(text: str, longest: int) -> str:
    """The end of a path, in which runs of one folder differ."""
    return text if len(text) <= longest else f"…{text[1 - longest :]}"


def _nll(values: dict[str, Any]) -> list[str]:
    """The cells of NLL_COLUMNS of one run; dashes where none was estimated."""
    if "test/nll" not in values:
        return [DASH, DASH]
    return [_nats(values, "nll"), f"{values['test/nll_effective_samples']:,.0f} of {values['nll_samples']:,}"]


def _nats(values: dict[str, Any], name: str) -> str:
    """Format a metric and its standard error."""
    return f"{number(values[f'test/{name}'], 3):>9} ± {number(values[f'test/{name}_standard_error'], 3)}"


def _percent(values: dict[str, Any], name: str) -> str:
    """Format a metric in [0, 1] and its standard error in percent."""
    return f"{100 * values[f'test/{name}']:>9.2f} ± {100 * values[f'test/{name}_standard_error']:.2f}"


def _notes(results: list[dict[str, Any]]) -> list[str]:
    """Notes below the results: limit of the mutual information, and samples and reliability of the NLL."""
    counts = sorted({values["test_images"] for values in results})
    limits = ", ".join(f"log {count:,} = {math.log(count):.2f}" for count in counts)
    lines = [f"± one standard error over test images; mutual information can be at most {limits} nats"]
    with_nll = [values for values in results if "test/nll" in values]
    if with_nll:
        single = f"{_nll(results[0])[1]} samples per image are effective (median image)"
        what = single if len(results) == 1 else "effective samples per image, of all that were drawn (median image)"
        errors = [values["test/nll_monte_carlo_error"] for values in with_nll if values["nll_samples"] > 1]
        worst = ", at worst" if len(errors) > 1 else ""
        error = f"; Monte Carlo error {max(errors):.3f} nats{worst}" if errors else ""
        lines.append(f"NLL: {what}{error}")
        if len(with_nll) < len(results):
            lines.append(f"     {DASH} where it was not estimated; nll.samples=… does that")
        if any(round(values["test/nll_effective_samples"]) < FEW for values in with_nll):
            lines.append(
                f"     with fewer than {FEW} effective samples the NLL is overestimated by more; use more samples"
            )
    return lines


def command() -> None:
    start(main, EvaluateOptions, __doc__)
