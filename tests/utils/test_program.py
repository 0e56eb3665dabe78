import sys

import pytest

from mnist_vae.utils.program import as_called

TEXT = "python train.py -m beta=1,2, then python scripts/fit_prior.py run=x"


@pytest.mark.parametrize("program", ["train.py", "/repo/train.py", "scripts/evaluate.py", "-c", ""])
def test_a_script_is_called_as_it_is_written(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [program])
    assert as_called(TEXT) == TEXT


@pytest.mark.parametrize("program", ["/venv/bin/mnist-vae", "mnist-vae-evaluate", "mnist-vae.exe"])
def test_an_installed_command_names_installed_commands(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [program])
    assert as_called(TEXT) == "mnist-vae -m beta=1,2, then mnist-vae-fit-prior run=x"
