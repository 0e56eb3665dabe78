"""How this program was called: by the scripts of the repository, or by an installed command."""

import re
import sys
from pathlib import Path

INSTALLED = "mnist-vae"  # the command that trains; a tool's is mnist-vae-<tool>


def as_called(text: str) -> str:
    """Write commands in a text as those that are installed, if one of those was called.

    `python train.py` becomes `mnist-vae`, and `python scripts/evaluate.py` becomes `mnist-vae-evaluate`.
    """
    if not Path(sys.argv[0]).stem.startswith(INSTALLED):
        return text
    return re.sub(r"python scripts/(\w+)\.py", rf"{INSTALLED}-\1", text.replace("python train.py", INSTALLED))
