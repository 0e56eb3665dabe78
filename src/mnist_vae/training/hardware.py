"""The device and the processes of a run, and a record of the machine."""

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from mnist_vae.config.schema import Device
from mnist_vae.utils.errors import SettingsError

PACKAGES = [
    "mnist-vae",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "hydra-core",
    "omegaconf",
    "numpy",
    "tensorboard",
    "scikit-learn",
]


def resolve_device(wanted: Device) -> Device:
    """Resolve the device; `auto` is a GPU, else Apple's MPS, else the CPU.

    Raises:
        SettingsError: the chosen device is not available.
    """
    found = [device for device, there in _available().items() if there]
    if wanted is Device.auto:
        return found[0]
    if wanted not in found:
        names = {Device.gpu: "CUDA GPU", Device.mps: "Apple MPS device"}
        raise SettingsError(
            f"accelerator: no {names[wanted]} was found on this machine; "
            f"accelerator=auto takes what there is (here {found[0].name}), accelerator=ddp_cpu is DDP without GPUs."
        )
    return wanted


def torch_device(device: Device) -> torch.device:
    """torch's name for a resolved device."""
    return torch.device("cuda" if device is Device.gpu else device.value)


def resolve_processes(wanted: int, device: Device) -> int:
    """Resolve the number of processes, one per device; -1 is one for each GPU, or one.

    Raises:
        SettingsError: there are fewer devices.
    """
    available = {Device.gpu: torch.cuda.device_count(), Device.mps: 1, Device.cpu: None}[device]
    if wanted == -1:
        return available or 1
    if available is not None and wanted > available:
        raise SettingsError(
            f"accelerator.devices={wanted}: this machine has {available} {device.name} device(s); "
            f"use at most {available}, or -1 for all."
        )
    return wanted


@contextmanager
def pinned_threads(threads: int | None = None) -> Iterator[None]:
    """Fix the number of threads of this process's CPU computations: the given one, or the present one.

    Without it, MKL may use another number from one call to the next (its dynamic mode), which changes the rounding, and
    so two runs of one experiment could differ.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def busy_hint() -> str | None:
    """A sentence if this machine's cores are taken by other programs and this process has several threads; else None.

    The load average alone would still count a run that has just ended, so the threads that are running now count too.
    """
    cores = os.cpu_count() or 1
    try:
        load, _, _, running, *_ = map(float, Path("/proc/loadavg").read_text().replace("/", " ").split())
    except (OSError, ValueError):  # not Linux
        return None
    others = min(load, running - 1)
    if torch.get_num_threads() == 1 or others + torch.get_num_threads() < cores + 1:
        return None
    return (
        f"other programs use this machine's {cores} cores (load average {load:.1f}): threads that wait for one "
        "another are many times slower then; OMP_NUM_THREADS=1 before the command of each of them is faster."
    )


def stop_searching_for_gpus() -> None:
    """Where there is no GPU, have torch remember that: its optimisers ask at each step.

    Importing Lightning sets that it looks for the driver's library each time, so that processes forked later could
    still use the GPUs.
    """
    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def describe() -> dict[str, Any]:
    """The content of environment.json: versions, git commit, machine."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def device_name(device: Device) -> str:
    """The name to show for a resolved device."""
    if device is Device.gpu:
        return torch.cuda.get_device_name(0)
    return "Apple MPS" if device is Device.mps else "cpu"


def _available() -> dict[Device, bool]:
    return {
        Device.gpu: torch.cuda.is_available(),
        Device.mps: torch.backends.mps.is_available(),
        Device.cpu: True,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*command: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *command],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # Linux only; elsewhere platform knows
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor()
