"""What a page shows: an image or a code, through one run or several."""

from collections.abc import Callable, Sequence

from torch import Tensor

from mnist_vae.analysis.inspection import Inspection
from mnist_vae.explorer.explored_run import ExploredRun


class Subject:
    """An image, or a code, through runs whose images have the same shape.

    Args:
        runs: the runs; the first is the one whose latent space is explored.

    Attributes:
        x: the image, (channels, height, width) in [0, 1]; None for a code that is not an image's.
        codes: of each run, (latent_dim,).
        inspections: what each run makes of the image; empty for a code.
        label: given to conditional runs.
        line: codes of the first run between which a line is shown, (2, latent_dim); or None.
        changed: called after each change.
    """

    def __init__(self, runs: Sequence[ExploredRun]) -> None:
        self.runs = runs
        self.x: Tensor | None = None
        self.inspections: list[Inspection] = []
        self.codes = [run.prior_mean for run in runs]
        self.label = 0
        self.line: Tensor | None = None
        self.changed: list[Callable[[], None]] = []

    def show_image(self, x: Tensor, label: int | None = None) -> None:
        """Show an image.

        Args:
            x: (channels, height, width) in [0, 1].
            label: its label; if None, the first conditional run's guess.
        """
        guesses = [run.most_likely_label(x) for run in self.runs if run.vae.classes] if label is None else [label]
        self.label = next((guess for guess in guesses if guess is not None), self.label)
        self.x, self.line = x, None
        self.inspections = [run.inspect(x, self.label) for run in self.runs]
        self.codes = [inspection.mean[0] for inspection in self.inspections]
        self._notify()

    def show_code(self, z: Tensor) -> None:
        """Show a code of the first run. Others show the same code, or encode its image if their latent spaces have
        another number of dimensions.
        """
        self.show_codes([z, *(z if self.shares_codes(run) else self._encoded(run, z) for run in self.runs[1:])])

    def show_codes(self, codes: Sequence[Tensor], line: Tensor | None = None) -> None:
        """Show a code of each run, and perhaps a line between two codes of the first."""
        self.x, self.inspections, self.codes, self.line = None, [], list(codes), line
        self._notify()

    def show_label(self, label: int) -> None:
        """Decode the same codes with another label."""
        self.label = label
        self.show_codes(self.codes, self.line)

    def shares_codes(self, run: ExploredRun) -> bool:
        """Whether the codes of the first run are codes of this one."""
        return run.vae.latent_dim == self.runs[0].vae.latent_dim

    def images(self) -> list[Tensor]:
        """The decoded code of each run, (channels, height, width) in [0, 1]."""
        return [run.decode(z[None], self.label)[0] for run, z in zip(self.runs, self.codes, strict=True)]

    def codes_of_test_image(self, index: int) -> list[Tensor]:
        """The code that each run gives to a test image of the first one, (latent_dim,)."""
        x, label = self.runs[0].pixels(index), int(self.runs[0].labels[index])
        return [run.inspect(x, label).mean[0] for run in self.runs]

    def _encoded(self, run: ExploredRun, z: Tensor) -> Tensor:
        """The code that another run gives to the image decoded from a code of the first run."""
        image = self.runs[0].decode(z[None], self.label)[0]
        return run.inspect(image, self.label).mean[0]

    def _notify(self) -> None:
        for function in self.changed:
            function()
