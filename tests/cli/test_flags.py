"""Hydra's flags among the overrides."""

import re

import pytest

from mnist_vae.cli.flags import NAMES, arranged
from mnist_vae.utils.errors import SettingsError
from tests.conftest import forked


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["-m", "seed=0,1"], ["-m", "seed=0,1"]),
        (["seed=0,1", "-m"], ["-m", "seed=0,1"]),
        (["seed=0,1", "-m", "beta=1"], ["-m", "seed=0,1", "beta=1"]),
        (["beta=1", "--cfg", "job", "seed=0"], ["--cfg", "job", "beta=1", "seed=0"]),
        (["beta=1", "--cfg=job", "-p", "model"], ["--cfg", "job", "-p", "model", "beta=1"]),
        (["~beta", "--config-dir", "a=b", "+x=1"], ["--config-dir", "a=b", "~beta", "+x=1"]),
        (["--config-d", "a", "--multi"], ["--config-dir", "a", "--multirun"]),
        (["--info", "-cjob"], None),
        (["model=conv", "--info"], ["--info", "model=conv"]),
        (["--info", "defaults", "seed=1"], ["--info", "defaults", "seed=1"]),
        (["-sc", "install=bash"], ["-sc", "install=bash"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flags_come_first_and_keep_their_values(words: list[str], expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(SettingsError, match="not allowed with"):
            arranged(words)
    else:
        assert arranged(words) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nope"], "--nope: there is no such flag; overrides are key=value, and --hydra-help lists the flags."),
        (["--nope", "seed=1"], "--nope: there is no such flag; overrides are key=value"),
        (["--latent_dim=16"], "--latent_dim=16: there is no such flag; did you mean latent_dim=16?"),
        (["--latent_dim", "16"], "--latent_dim: there is no such flag; did you mean latent_dim=16?"),
        (["-model=conv"], "-model=conv: there is no such flag; did you mean model=conv?"),
        (["--config-dir"], "argument --config-dir/-cd: expected one argument; --hydra-help explains Hydra's flags."),
        (["--cfg=nope"], "argument --cfg/-c: invalid choice: 'nope'"),
        (["-r", "-m"], "argument --multirun/-m: not allowed with argument --run/-r"),
        (["latent_dim"], "latent_dim: an override is written key=value, as in latent_dim=16; --help lists the keys."),
        (["=3"], "=3: an override is written key=value"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistyped_flag_is_named(words: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        arranged(words)
    assert str(caught.value).startswith(message)


def test_the_flags_are_those_of_hydra() -> None:
    listed = forked("--hydra-help").stdout
    flags = {name for line in re.findall(r"^(-[-\w,]+) : ", listed, re.MULTILINE) for name in line.split(",")}
    assert flags == set(NAMES)
