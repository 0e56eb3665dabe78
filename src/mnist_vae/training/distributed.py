"""One run in several processes: this one is rank 0, the others are started for the time of the run."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, NamedTuple

import torch
from pytorch_lightning.utilities import rank_zero_only

from mnist_vae.training import cluster
from mnist_vae.utils.errors import UserError


def run_on_processes(function: Callable[..., Any], processes: int, *args: Any, num_nodes: int = 1) -> Any:
    """Call `function(*args)` in `processes` processes at once; return what it returns here, as this machine's first.

    Environment variables give Lightning the rank of each, as a cluster's launcher would. The first is this process, so
    its console, logging and Hydra state are those of any other run, also in the middle of a multirun.

    Args:
        function: importable by name, and args picklable.
        num_nodes: machines that do the same at the same time; see cluster.py.

    Raises:
        SettingsError: there are several machines, and the address of the first is not known.
    """
    if processes * num_nodes == 1:
        return function(*args)
    threads = max(1, torch.get_num_threads() // processes)
    group = _Group(processes, num_nodes, threads, *cluster.meeting_point(num_nodes))
    others = torch.multiprocessing.start_processes(
        _run_rank, (function, group, args), nprocs=processes - 1, join=False, start_method="spawn"
    )
    assert others is not None
    try:
        with group.place(0):
            result = function(*args)
        while not others.join():  # raises the error of another process
            pass
        return result
    finally:
        for process in others.processes:
            process.kill()


def _run_rank(index: int, function: Callable[..., Any], group: "_Group", args: tuple[Any, ...]) -> None:
    with group.place(index + 1), suppress(UserError):  # rank 0 raises the same one and reports it
        function(*args)


class _Group(NamedTuple):
    """The processes that share one experiment, and the address of the first."""

    processes: int  # of each machine
    num_nodes: int
    threads: int  # of each process
    address: str
    port: int

    def place(self, local_rank: int) -> AbstractContextManager[None]:
        """Take one of this machine's places in the group."""
        node = cluster.node_rank(self.num_nodes)
        names = {
            "LOCAL_RANK": local_rank,
            "NODE_RANK": node,
            "RANK": node * self.processes + local_rank,
            "WORLD_SIZE": self.processes * self.num_nodes,
            "MASTER_ADDR": self.address,
            "MASTER_PORT": self.port,
        }
        return _placed(names, self.threads)


@contextmanager
def _placed(names: dict[str, Any], threads: int) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in names}
    main_only: Any = rank_zero_only
    threads_before, rank_before = torch.get_num_threads(), main_only.rank
    os.environ.update({name: str(value) for name, value in names.items()})
    torch.set_num_threads(threads)
    main_only.rank = names["RANK"]  # Lightning sets it with its Trainer, and the loggers are made before that
    try:
        yield
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        torch.set_num_threads(threads_before)
        main_only.rank = rank_before
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
