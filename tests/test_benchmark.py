import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_an_epoch_costs_little_more_than_the_bare_loop(real_mnist: str) -> None:
    """At most 1.3 times, by the quietest of three pairs of epochs: other work on the machine only adds."""
    done = subprocess.run(
        [sys.executable, "scripts/benchmark.py", "max_epochs=4"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    ratio = re.search(r"ratio, epoch by epoch +([\d.]+) +([\d.]+)", done.stdout)
    losses = re.search(r"training loss: run ([\d.]+), bare loop ([\d.]+)", done.stdout)
    assert ratio and float(ratio[2]) <= 1.3, done.stdout
    # A loop that did not train would be quick for nothing.
    assert losses and float(losses[1]) == pytest.approx(float(losses[2]), rel=0.02), done.stdout
