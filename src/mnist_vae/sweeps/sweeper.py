"""What the sweepers `grid` and `search` share. Imports nothing heavy: Hydra loads it for every command."""

import itertools
from collections.abc import Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from mnist_vae.utils.errors import SettingsError


class MultirunSweeper(Sweeper):
    """A sweeper with its launcher, and the overrides of its `params` and of the command line.

    Args:
        params: values to sweep over, as on the command line, by key.
    """

    config: DictConfig
    hydra_context: HydraContext
    launcher: Launcher

    def __init__(self, params: Mapping[str, str] | None = None) -> None:
        self.params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins

        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def overrides(self, arguments: Sequence[str]) -> list[Override]:
        """Parse the overrides of `params`, then those of the command line.

        Raises:
            SettingsError: `params` is no mapping.
            OverrideParseException: one is not in Hydra's grammar.
        """
        if not isinstance(self.params, Mapping):
            raise SettingsError(f"hydra.sweeper.params={self.params}: it must be a mapping of keys to values.")
        given = [f"{key}={value}" for key, value in self.params.items()]
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return parser.parse_overrides([*given, *arguments])


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """Every combination of the values given, as the overrides of one job each; of a key given twice, the last counts.

    Raises:
        SettingsError: a key is given an interval, or no value.
    """
    values: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            values[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise SettingsError(f"{key}: an interval is for sweep=search; give values, such as {key}=1,2.")
        if not values[key]:
            raise SettingsError(f"{override.input_line}: there is no value in it; give some, such as {key}=1,2.")
    return [list(job) for job in itertools.product(*values.values())]
