import pytest
import torch

from mnist_vae.config.schema import Device
from mnist_vae.training import hardware
from mnist_vae.utils.errors import SettingsError


def pretend(monkeypatch: pytest.MonkeyPatch, gpus: int, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("gpus", "mps", "expected"), [(0, False, Device.cpu), (0, True, Device.mps), (2, False, Device.gpu)]
)
def test_auto_takes_the_best_there_is(monkeypatch, gpus: int, mps: bool, expected: Device) -> None:
    pretend(monkeypatch, gpus, mps)
    assert hardware.resolve_device(Device.auto) is expected


@pytest.mark.parametrize("device", list(Device))
def test_what_is_there_is_taken(monkeypatch, device: Device) -> None:
    pretend(monkeypatch, 1, mps=True)
    assert hardware.resolve_device(device) is (Device.gpu if device is Device.auto else device)


@pytest.mark.parametrize(("wanted", "gpus", "expected"), [(1, 2, 1), (2, 2, 2), (-1, 2, 2), (-1, 1, 1)])
def test_processes_are_counted_by_gpus(monkeypatch, wanted: int, gpus: int, expected: int) -> None:
    pretend(monkeypatch, gpus)
    assert hardware.resolve_processes(wanted, Device.gpu) == expected


def test_more_devices_than_there_are_is_refused(monkeypatch) -> None:
    pretend(monkeypatch, 2)
    with pytest.raises(SettingsError, match=r"accelerator.devices=3: this machine has 2 gpu"):
        hardware.resolve_processes(3, Device.gpu)


@pytest.mark.parametrize(("wanted", "expected"), [(1, 1), (5, 5), (-1, 1)])
def test_cpu_processes_are_as_many_as_asked_for(wanted: int, expected: int) -> None:
    assert hardware.resolve_processes(wanted, Device.cpu) == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here")
def test_steps_do_not_search_for_gpus_where_there_are_none(monkeypatch) -> None:
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # as importing Lightning leaves it
    searches = []
    monkeypatch.setattr(torch.cuda, "_raw_device_count_nvml", lambda: searches.append("libnvidia-ml") or -1)
    weight = torch.nn.Parameter(torch.ones(1))
    weight.grad = torch.ones(1)
    optimizer = torch.optim.Adam([weight])

    def searched() -> int:
        searches.clear()
        optimizer.step()
        return len(searches)

    searched()  # once, where torch is built for CUDA
    hardware.stop_searching_for_gpus()
    assert searched() == 0
