"""What a run's folder remembers of its run in a tracking tool, and how that run is named there."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnist_vae.utils.io import read_text, write_json

DATE = re.compile(r"\d{4}-\d\d-\d\d")
LONGEST = 128  # characters of a name in Weights & Biases


class RunRecord:
    """The id of a run in a tracking tool, and the last step logged under each name, in a file of the run's folder.

    A run that is resumed goes on under the same id, and what it computes again is not logged again: tracking tools only
    append. Since a resumed run draws what it would have drawn, the values are the same.

    Args:
        path: the file; it need not exist yet. A damaged one counts as none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = _read(path)
        self.id: str | None = content.get("id")
        self._last_steps: dict[str, int] = content.get("last_steps", {})
        self._is_written = True

    def new(self, values: Mapping[str, Any], step: int | None) -> dict[str, Any]:
        """Those of the values that have not been logged at this step; they count as logged from now on."""
        if step is None:
            return dict(values)
        found = {name: value for name, value in values.items() if self._last_steps.get(name, -1) < step}
        self._last_steps |= dict.fromkeys(found, step)
        self._is_written &= not found
        return found

    def write(self) -> None:
        """Write what has changed."""
        if not self._is_written:
            write_json(self.path, {"id": self.id, "last_steps": self._last_steps})
            self._is_written = True

    def begin(self, identifier: str) -> None:
        """Write the id of a run of which nothing has been logged."""
        self.id, self._last_steps, self._is_written = identifier, {}, False
        self.write()


def _read(path: Path) -> dict[str, Any]:
    """The file's content as far as it is what `RunRecord.write` writes; the folder may come from anyone."""
    try:
        content = json.loads(read_text(path))
        steps = {str(name): int(step) for name, step in content["last_steps"].items()}
        return {"id": content["id"], "last_steps": steps} if re.fullmatch(r"[\w-]+", content["id"]) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def config_in(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config, where that is one of the hyperparameters, as it is of VAEModule's; else all of them."""
    return params.get("config", params)


def sweep_of(folder: str | Path) -> Path | None:
    """The folder of the sweep that a run's folder is in, or None."""
    return next((path for path in Path(folder).resolve().parents[:3] if (path / "sweep.json").exists()), None)


def name_of_run(folder: str | Path) -> str:
    """A run's name: its folder below its sweep's, or the folder's own name, `<date>/<time>` where that is a time."""
    path, sweep = Path(folder).resolve(), sweep_of(folder)
    return str(path.relative_to(sweep))[-LONGEST:] if sweep else _folder_name(path)


def name_of_sweep(folder: str | Path) -> str | None:
    """The name of the sweep that a run belongs to, or None."""
    sweep = sweep_of(folder)
    return _folder_name(sweep) if sweep else None


def _folder_name(path: Path) -> str:
    """The last part of a path, and the part before it if that is a date."""
    return "/".join(path.parts[-2:] if DATE.fullmatch(path.parent.name) else path.parts[-1:])[-LONGEST:]
