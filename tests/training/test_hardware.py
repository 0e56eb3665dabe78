import ctypes
from pathlib import Path

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


def test_threads_are_pinned_and_given_back() -> None:
    before = torch.get_num_threads()
    with hardware.pinned_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        with hardware.pinned_threads():
            assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_pinning_ends_the_dynamic_mode_of_mkl() -> None:
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    if not hasattr(library, "mkl_serv_get_dynamic"):
        pytest.skip("this torch has no MKL")
    library.mkl_serv_set_dynamic(ctypes.byref(ctypes.c_int(1)))  # as in a process that has just started
    assert library.mkl_serv_get_dynamic() == 1
    with hardware.pinned_threads():
        assert library.mkl_serv_get_dynamic() == 0


@pytest.mark.parametrize(
    ("threads", "load", "running", "is_busy"),
    [(2, 2.0, 3, True), (2, 2.0, 1, False), (2, 0.1, 3, False), (1, 2.0, 3, False), (2, 0.6, 3, False)],
)
def test_a_busy_machine_is_reported(monkeypatch, threads: int, load: float, running: int, is_busy: bool) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(Path, "read_text", lambda path: f"{load} 0.5 0.5 {running}/120 4242\n")
    hint = hardware.busy_hint()
    assert (hint is not None) == is_busy
    assert hint is None or ("OMP_NUM_THREADS=1" in hint and "2 cores (load average 2.0)" in hint)


def test_where_the_load_is_not_known_nothing_is_reported(monkeypatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    for content in ("", "what 1/2 3"):
        monkeypatch.setattr(Path, "read_text", lambda path, content=content: content)
        assert hardware.busy_hint() is None
