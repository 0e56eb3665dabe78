"""Which machine this is, and where all of them meet."""

import pytest

from mnist_vae.training.cluster import meeting_point, node_rank
from mnist_vae.utils.errors import SettingsError

VARIABLES = ("NODE_RANK", "GROUP_RANK", "SLURM_NODEID", "MASTER_ADDR", "MASTER_PORT", "SLURM_JOB_ID")
VARIABLES += ("SLURM_JOB_NODELIST", "SLURM_STEP_NODELIST")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["NODE_RANK", "GROUP_RANK", "SLURM_NODEID"])
def test_the_rank_is_what_a_cluster_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "3")
    assert node_rank(4) == 3
    assert node_rank(1) == 0  # a single machine's run, which happens to be started on a cluster


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("gpu[003-007,9],login1", "gpu003"),
        ("gpu[5]", "gpu5"),
        ("a1,a2", "a1"),
        ("a1 a2", "a1"),
        ("a5,b[1-3]", "a5"),
        ("a[1-2],b[1-3],c7", "a1"),
        ("node-a[01,03].cluster.org", "node-a01.cluster.org"),
        ("alone", "alone"),
    ],
)
def test_the_first_host_of_slurms_list(hosts: str, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_NODELIST", hosts)
    monkeypatch.setenv("SLURM_NODEID", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "1234567")
    assert meeting_point(2) == (first, 29500 + 567)


def test_torchs_variables_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_NODELIST", "a1")
    for name, value in (("MASTER_ADDR", "head"), ("MASTER_PORT", "1234"), ("NODE_RANK", "0")):
        monkeypatch.setenv(name, value)
    assert meeting_point(2) == ("head", 1234)


def test_several_machines_without_an_address_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"num_nodes=2: set MASTER_ADDR .* NODE_RANK"):
        meeting_point(2)
    monkeypatch.setenv("MASTER_ADDR", "head")
    with pytest.raises(SettingsError, match="NODE_RANK"):
        meeting_point(2)
    assert meeting_point(1)[0] == "127.0.0.1"


@pytest.mark.parametrize(("name", "value"), [("NODE_RANK", "2"), ("NODE_RANK", "x"), ("SLURM_NODEID", "-1")])
def test_a_rank_that_no_machine_has_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name}={value} .* from 0 to 1"):
        node_rank(2)


def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MASTER_ADDR", "head"), ("NODE_RANK", "0"), ("MASTER_PORT", "abc")):
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="MASTER_PORT=abc"):
        meeting_point(2)
