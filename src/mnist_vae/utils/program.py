"""How this program was called: by the scripts of the repository, or by an installed command."""

import re
import sys
from pathlib import Path

INSTALLED = "mnist-vae"  # the command that trains; a tool's is mnist-vae-<tool>


def as_called(text: str) -> str:
    """Write commands in a text as those that are installed, if one of those was called.

    `python train.py` becomes `mnist-vae`, and `python scripts/fit_prior.py` becomes `mnist-vae-fit-prior`.
    """
    if not Path(sys.argv[0]).stem.startswith(INSTALLED):
        return text
    tools = re.sub(r"python scripts/(\w+)\.py", lambda tool: f"{INSTALLED}-{tool[1].replace('_', '-')}", text)
    return tools.replace("python train.py", INSTALLED)
