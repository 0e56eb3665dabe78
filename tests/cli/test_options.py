from dataclasses import dataclass

import pytest

from mnist_vae.cli.options import group, option, parse, usage
from mnist_vae.config.schema import Device
from mnist_vae.utils.errors import SettingsError


@dataclass
class Inner:
    root: str | None = option(None, meaning="a folder")


@dataclass
class Options:
    run: str = option(meaning="which run")
    count: int = option(3, meaning="how many")
    scale: float = option(1.0, meaning="how large")
    device: Device = option(Device.auto, meaning="where")
    data: Inner = group(Inner)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count={self.count}: it must be 1 or more")


def test_defaults_and_words() -> None:
    assert parse(Options, ["run=a"]) == Options("a")
    given = parse(Options, ["run=b", "count=7", "scale=2e-1", "device=gpu", "data.root=/x y", "count=8"])
    assert given == Options("b", 8, 0.2, Device.gpu, Inner("/x y"))
    assert parse(Options, ["run=a", "data.root=null"]).data.root is None


@pytest.mark.parametrize(
    "text", ["a=b", "${oc.env:HOME}", "[1]", "{a: 1}", "2026-11-22", "1e3", "null ", "'q'", "", "ü"]
)
def test_text_is_taken_as_it_stands(text: str) -> None:
    assert parse(Options, [f"run={text}"]).run == text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "run: it is not given, and is needed"),
        (["run"], "run: options are written key=value"),
        (["run=a", "cuont=3"], r"cuont: there is no such key; did you mean count\?"),
        (["run=a", "data.rot=3"], r"did you mean data.root\?"),
        (["run=a", "data=3"], "data: there is no such key"),
        (["run=a", "count=many"], "count=many: Value 'many'"),
        (["run=a", "count=1.5"], "count=1.5"),
        (["run=a", "device=tpu"], r"device=tpu: Invalid value 'tpu', expected one of \[auto, cpu, gpu, mps\]"),
        (["run=a", "count=0"], "count=0: it must be 1 or more"),
        (["run=a", "count=null"], "count"),
    ],
)
def test_mistakes_are_reported(words: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse(Options, words)


def test_usage_has_the_text_and_a_line_for_each_key() -> None:
    text = usage(Options, "What it does.")
    assert text.startswith("What it does.")
    for line in ("run           which run", "count         how many (default 3)", "device        where (default auto)"):
        assert line.replace(" ", "") in text.replace(" ", "")
    assert "data.root" in text
