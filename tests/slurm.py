"""A SLURM of one machine: sbatch, srun and sacct as far as submitit needs them. `sbatch` starts all elements of the
array at once and leaves the script as it was submitted in `submitted.sh` beside it.
"""

import os
import re
import subprocess
import sys
from pathlib import Path


def install(folder: Path) -> dict[str, str]:
    """The environment in which they are the cluster's."""
    for name in ("sbatch", "srun", "sacct"):
        file = folder / name
        file.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
            f"from tests.slurm import {name}\n{name}()\n"
        )
        file.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def sbatch() -> None:
    text = Path(sys.argv[1]).read_text()
    Path(sys.argv[0]).with_name("submitted.sh").write_text(text)
    array = re.search(r"--array=0-(\d+)", text)
    for element in range(int(array[1]) + 1 if array else 1):
        variables = {"JOB_ID": 100 + element, "JOB_NUM_NODES": _nodes(text), "JOB_NODELIST": "localhost"}
        if array:
            variables |= {"ARRAY_JOB_ID": 77, "ARRAY_TASK_ID": element}
        environment = os.environ | {f"SLURM_{name}": str(value) for name, value in variables.items()}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        subprocess.Popen(["bash", sys.argv[1]], env=environment, start_new_session=True, **quiet)  # type: ignore[call-overload]
    print("Submitted batch job 77")


def srun() -> None:
    command = sys.argv[sys.argv.index(next(word for word in sys.argv if "python" in Path(word).name)) :]
    nodes = int(os.environ["SLURM_JOB_NUM_NODES"])
    tasks = []
    for node in range(nodes):
        variables = {"NODEID": node, "PROCID": node, "LOCALID": 0, "NTASKS": nodes}
        environment = os.environ | {f"SLURM_{name}": str(value) for name, value in variables.items()}
        tasks.append(subprocess.Popen(command, env=environment))
    sys.exit(max(task.wait() for task in tasks))


def sacct() -> None:
    print("JobID|State|NodeList")


def _nodes(script: str) -> int:
    found = re.search(r"--nodes=(\d+)", script)
    return int(found[1]) if found else 1
