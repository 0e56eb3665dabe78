"""Which of a run's machines this is, and where they meet: as torchrun's variables say, or SLURM's."""

import os
import socket

from mnist_vae.utils.errors import SettingsError

NODE_RANK = ("NODE_RANK", "GROUP_RANK", "SLURM_NODEID")
PORT = 29500  # torch's own


def node_rank(num_nodes: int) -> int:
    """This machine's number, from 0, among those that run one experiment together; 0 if there is but one.

    Raises:
        SettingsError: what the environment says is no such number.
    """
    name = next((name for name in NODE_RANK if name in os.environ), None)
    if num_nodes == 1 or name is None:
        return 0
    return _number(name, num_nodes - 1)


def meeting_point(num_nodes: int) -> tuple[str, int]:
    """The address and port at which the processes of one experiment find each other.

    Raises:
        SettingsError: there are several machines, and the environment names none.
    """
    if num_nodes == 1:
        return "127.0.0.1", _free_port()
    hosts = os.environ.get("SLURM_STEP_NODELIST") or os.environ.get("SLURM_JOB_NODELIST", "")
    address = os.environ.get("MASTER_ADDR") or _first_host(hosts)
    if not address or not any(name in os.environ for name in NODE_RANK):
        raise SettingsError(
            f"accelerator.num_nodes={num_nodes}: set MASTER_ADDR to the address of the first machine, and NODE_RANK "
            f"to 0 on it, 1 on the next, and so on; SLURM does so by itself."
        )
    # On SLURM each job has a port of its own, since jobs can share a machine.
    job = int(os.environ.get("SLURM_JOB_ID", 0))
    return address, _number("MASTER_PORT", 65535) if "MASTER_PORT" in os.environ else PORT + job % 1000


def _number(name: str, most: int) -> int:
    """A variable of the environment as a number up to `most`."""
    text = os.environ[name]
    if not text.isdecimal() or int(text) > most:
        raise SettingsError(f"{name}={text} in the environment: it must be a number from 0 to {most}.")
    return int(text)


def _first_host(hosts: str) -> str:
    """The first of SLURM's list of hosts, such as gpu003 of `gpu[003-007,9],login1`; empty if there is no list."""
    from pytorch_lightning.plugins.environments import SLURMEnvironment  # seconds, which a sweep's own process saves

    return SLURMEnvironment.resolve_root_node_address(hosts)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
