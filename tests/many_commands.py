"""Run many commands one after the other in one process, each in an empty folder: for commands that are refused.

    many_commands.py COMMANDS RESULTS

COMMANDS is a JSON file with a list of lists of words, of which the first is a script's path in the project's folder.
RESULTS will be one with an object for each: its exit code, what it printed, and the names of the files it left.
"""

import io
import json
import os
import runpy
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from mnist_vae.config import error_messages

ROOT = Path(__file__).parents[1]


def outcome(script: str, words: list[str]) -> dict[str, Any]:
    """What one command ends with."""
    for variable in (error_messages.FULL_ERROR, error_messages.SENTENCES):
        os.environ.pop(variable, None)
    sys.argv = [str(ROOT / script), *words]
    code: Any = 0
    out, err = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(out), redirect_stderr(err):
        os.chdir(folder)
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as stopped:
            code = stopped.code
            if isinstance(code, str):
                print(code, file=err)
                code = 1
        left = [path.name for path in Path(folder).rglob("*")]
        os.chdir(ROOT)
    return {"code": code, "stdout": out.getvalue(), "stderr": err.getvalue(), "left": left}


if __name__ == "__main__":
    commands, results = map(Path, sys.argv[1:])
    results.write_text(json.dumps([outcome(script, words) for script, *words in json.loads(commands.read_text())]))
