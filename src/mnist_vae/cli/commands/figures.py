"""Draw all figures of a run, finished or training, into <run>/figures (<run>/figures_last with checkpoint=last).

    python scripts/figures.py run=outputs/runs/…

Figures that do not apply to a run are omitted, such as the manifold with more than two latent dimensions.
"""

from dataclasses import dataclass
from functools import partial

from tqdm import tqdm

from mnist_vae.cli.entry import start
from mnist_vae.cli.tools import ImageOptions, PriorOptions, each_run
from mnist_vae.runs.load import OpenRun
from mnist_vae.utils.io import shown


@dataclass
class FigureOptions(PriorOptions, ImageOptions):
    pass


def main(options: FigureOptions) -> None:
    for line in each_run(options, partial(draw, options)):
        tqdm.write(line)


def draw(options: FigureOptions, run: OpenRun) -> str:
    """Draw the figures of one run; return a line that lists them."""
    from mnist_vae.figures.run_figures import RunSummary, draw_all

    # The final metrics are those of the best checkpoint with the prior that was trained.
    metrics = run.folder.read_metrics() if run.folder.complete and not run.suffix else {}
    data = run.data(options.data.root)
    summary = RunSummary(run.title, run.vae, data.test_split, data.classes, run.folder.read_rows(), metrics)
    folder = run.folder.subfolder(f"figures{run.suffix}")
    files = draw_all(summary, folder)
    return f"{shown(folder)}: {', '.join(file.name for file in files)}"


def command() -> None:
    start(main, FigureOptions, __doc__)
