from typing import Any

import pytest
import pytorch_lightning as pl

from mnist_vae.training.callbacks import progress
from mnist_vae.training.callbacks.progress import Progress
from tests.training.test_module import STEPS, fit, vae_module


class FakeBar:
    """In the place of tqdm."""

    made: "list[FakeBar]"
    disable = False

    def __init__(self, **options: Any) -> None:
        self.total, self.n, self.closed = options["total"], options["initial"], False
        self.descriptions: list[str] = []
        self.postfix = ""
        self.made.append(self)

    def set_description(self, text: str, refresh: bool) -> None:
        self.descriptions.append(text)

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        self.postfix = text

    def update(self, steps: int) -> None:
        self.n += steps

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def bars(monkeypatch: pytest.MonkeyPatch) -> list[FakeBar]:
    FakeBar.made = []
    monkeypatch.setattr(progress, "tqdm", FakeBar)
    return FakeBar.made


def test_one_bar_counts_the_steps_of_all_epochs(bars: list[FakeBar], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK", 2)
    fit(Progress(), max_epochs=2, enable_progress_bar=True, log_every_n_steps=1)
    (bar,) = bars
    assert bar.total == bar.n == 2 * STEPS and bar.closed
    assert bar.descriptions == ["epoch 1/2", "epoch 2/2"] and bar.postfix.startswith("loss ")


def test_a_training_without_an_end_has_a_bar_without_a_total(bars: list[FakeBar]) -> None:
    class Stopping(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
            trainer.should_stop = trainer.global_step == 3

    fit(Progress(), Stopping(), net=vae_module("schedule=constant"), max_epochs=-1, enable_progress_bar=True)
    assert bars[0].total is None and bars[0].n == 3 and bars[0].closed


def test_the_bar_is_closed_on_an_error(bars: list[FakeBar]) -> None:
    class Failing(pl.Callback):
        def on_train_batch_start(self, *args: Any) -> None:
            raise LookupError("an error")

    with pytest.raises(LookupError):
        fit(Progress(), Failing(), enable_progress_bar=True)
    assert bars[0].closed
