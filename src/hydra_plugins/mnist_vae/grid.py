"""The sweeper of `python train.py -m key=value,value`: Hydra's own, for jobs that are named, kept and resumed."""

from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from mnist_vae.utils.compat import BasicSweeper


class GridSweeper(BasicSweeper):
    """Every combination of the values given, or of those in `params`.

    It differs from Hydra's BasicSweeper, whose arguments it has, in what becomes of the jobs; see multirun.Multirun.
    """

    def sweep(self, arguments: list[str]) -> Any:
        from mnist_vae.sweeps.multirun import (
            Multirun,  # not while Hydra looks for plugins, which it does for --help too
        )

        assert self.config is not None and self.hydra_context is not None and self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        (combinations,) = self.split_arguments(overrides, max_batch_size=None)
        multirun = Multirun(self.config, self.hydra_context, self.launcher)
        jobs = multirun.jobs(combinations)  # a mistake in them shows before anything is written
        with multirun.held(), multirun.watched(total=len(jobs)):
            multirun.run(jobs, self.max_batch_size)
