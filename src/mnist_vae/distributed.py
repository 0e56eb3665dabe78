"""One run in several processes: this one is rank 0, the others are started for the time of the run."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_only

from mnist_vae.errors import UserError


def run_on_processes(function: Callable[..., Any], processes: int, *args: Any) -> Any:
    """Call `function(*args)` in `processes` processes at once; return what it returns here, as rank 0.

    The environment tells Lightning the rank of each, as a cluster's launcher would. Rank 0 is this process, so
    its console, logging and Hydra state are those of any other run, also in the middle of a multirun.

    Args:
        function: importable by name, and args picklable.
    """
    if processes == 1:
        return function(*args)
    port = _free_port()
    others = torch.multiprocessing.start_processes(
        _run_rank, (function, processes, port, args), nprocs=processes - 1, join=False, start_method="spawn"
    )
    assert others is not None
    try:
        with _rank(0, processes, port):
            result = function(*args)
        while not others.join():  # raises what another process died of
            pass
        return result
    finally:
        for process in others.processes:
            process.kill()


def _run_rank(index: int, function: Callable[..., Any], processes: int, port: int, args: tuple[Any, ...]) -> None:
    with _rank(index + 1, processes, port), suppress(UserError):  # rank 0 meets the same one and tells the user
        function(*args)


@contextmanager
def _rank(rank: int, processes: int, port: int) -> Iterator[None]:
    names = {
        "LOCAL_RANK": rank,
        "RANK": rank,
        "WORLD_SIZE": processes,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    before = {name: os.environ.get(name) for name in names}
    main_only: Any = rank_zero_only
    threads, rank_before = torch.get_num_threads(), main_only.rank
    os.environ.update({name: str(value) for name, value in names.items()})
    torch.set_num_threads(max(1, threads // processes))
    main_only.rank = rank  # Lightning sets it with its Trainer, and the loggers are made before that
    try:
        yield
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        torch.set_num_threads(threads)
        main_only.rank = rank_before
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
