"""The sweeper of `python train.py -m key=value,value`: Hydra's basic one, for jobs that are named, kept and resumed."""

from typing import Any

from mnist_vae.sweeps.sweeper import MultirunSweeper, combinations
from mnist_vae.utils.errors import SettingsError


class GridSweeper(MultirunSweeper):
    """Every combination of the values given, or of those in `params`.

    It differs from Hydra's BasicSweeper, whose arguments it has, in what becomes of the jobs; see multirun.Multirun.
    """

    def __init__(self, max_batch_size: int | None, params: dict[str, str] | None = None) -> None:
        super().__init__(params)
        self.max_batch_size = max_batch_size

    def sweep(self, arguments: list[str]) -> Any:
        from mnist_vae.sweeps.multirun import Multirun  # not while Hydra looks for plugins, as it does for --help

        size = self.max_batch_size
        if size is not None and (type(size) is not int or size < 1):
            raise SettingsError(f"hydra.sweeper.max_batch_size={size}: it must be a whole number, 1 or more, or null.")
        multirun = Multirun(self.config, self.hydra_context, self.launcher)
        jobs = multirun.jobs(combinations(self.overrides(arguments)))  # a wrong value shows before anything is written
        with multirun.held(), multirun.watched(total=len(jobs)):
            multirun.run(jobs, self.max_batch_size)
