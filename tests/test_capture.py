"""Steps by a graph, on the CPU: a recording that is replayed with what Python knew when it was made, as CUDA's is."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from mnist_vae import settings
from mnist_vae.capture import WARM_UP, StepGraph
from mnist_vae.data import STRETCH, Batch
from mnist_vae.errors import SettingsError
from mnist_vae.module import VAEModule
from mnist_vae.objectives import ELBO, IWAE, MMD, TC, Capacity
from mnist_vae.settings import Binarize
from tests.conftest import composed
from tests.test_module import Listening, Rows, module, small_for


class Tape:
    """A step graph's recordings: how often it recorded and replayed."""

    def __init__(self) -> None:
        self.recorded = self.replayed = self.aside = 0
        self.net: VAEModule

    def graph(self, step: Callable[[Batch], Tensor]) -> StepGraph:
        return StepGraph(step, self.record, self.on_the_side)

    def on_the_side(self) -> Any:
        self.aside += 1
        return nullcontext()

    def record(self, function: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        self.recorded += 1
        result = torch.zeros(4)
        epoch = self.net._epochs_done(self.net._step)
        rates = [group["lr"] for group in self.net.trainer.optimizers[0].param_groups]

        def replay() -> None:
            self.replayed += 1
            now, self.net._epochs_done = self.net._epochs_done, lambda _: epoch  # type: ignore[method-assign,assignment]
            groups = self.net.trainer.optimizers[0].param_groups
            current = [group["lr"] for group in groups]
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate
            try:
                result.copy_(function())
            finally:
                self.net._epochs_done = now  # type: ignore[method-assign]
                for group, rate in zip(groups, current, strict=True):
                    group["lr"] = rate

        return replay, result


def fitted(objective: Any, tape: Tape | None, lr_factor: Any = None, callbacks: Any = ()) -> dict[str, Tensor]:
    """What three epochs of 5 steps come to, the last of each epoch on fewer images."""
    data, rows = module(how=Binarize.dynamic), Rows()
    torch.manual_seed(0)
    net = VAEModule(
        small_for(data.image_shape),
        objective,
        lambda parameters: torch.optim.Adam(parameters, 1e-2, fused=True),
        seed=0,
        log_every_n_steps=2,
        lr_factor=lr_factor,
        make_graph=tape.graph if tape else None,
    )
    if tape:
        tape.net = net
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[rows, *callbacks],
    )
    trainer.fit(net, data)
    assert trainer.global_step == 15
    numbers = [row["train/loss"] for row in rows.epochs] + net._gradient_norms
    return {**net.state_dict(), "numbers": torch.tensor(numbers)}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    # The mean over a batch is divided in another order of operations.
    return all(torch.allclose(one[name], other[name], rtol=1e-5, atol=1e-6) for name in one)


@pytest.mark.parametrize("stretch", [1, 10])
@pytest.mark.parametrize(
    ("objective", "changes"),
    [
        (ELBO(), 0),
        (ELBO(beta=4, free_bits=0.1), 0),
        (ELBO(warmup_epochs=1), 4),  # beta differs from step to step in the first epoch
        (ELBO(warmup_epochs=10), 12),
        (Capacity(capacity=3, gamma=2, rise_epochs=1), 4),
        (IWAE(k=3), 0),
        (IWAE(k=3, m=2, doubly_reparameterized=True), 0),
        (MMD(mmd_weight=10, kl_weight=0.5), 0),
        (TC(beta=3, train_size=32), 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_trains_as_steps_one_by_one_do(
    objective: Any, changes: int, stretch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STRETCH, "cpu", stretch)
    tape = Tape()
    assert same(fitted(objective, None), fitted(objective, tape))
    # Four whole batches an epoch; the fifth is smaller, and no graph's business.
    assert tape.recorded == (changes < 12)
    assert tape.aside == min(12, changes + WARM_UP) and tape.replayed == 12 - tape.aside


def test_a_new_learning_rate_is_recorded_anew() -> None:
    def halved(epoch: float) -> float:
        return 1.0 if epoch < 1 else 0.5

    tape = Tape()
    assert same(fitted(ELBO(), None, halved), fitted(ELBO(), tape, halved))
    assert tape.recorded == 2 and tape.aside == 2 * WARM_UP


@pytest.mark.parametrize("case", ["a listener", "an objective that may do anything with the epoch"])
def test_what_might_differ_is_not_recorded(case: str) -> None:
    elbo, tape = ELBO(), Tape()
    objective: Any = elbo if case == "a listener" else lambda vae, x, epoch, noise: elbo(vae, x, epoch, noise)
    callbacks = [Listening()] if case == "a listener" else []
    assert same(fitted(objective, None), fitted(objective, tape, callbacks=callbacks))
    assert tape.recorded == tape.aside == 0


@pytest.mark.parametrize("device", ["cpu", "mps", "auto"])
def test_only_a_gpu_is_recorded(device: str) -> None:
    assert composed("accelerator=gpu").accelerator.cuda_graph is True
    with pytest.raises(SettingsError, match="cuda_graph=true: only a GPU's steps can be recorded"):
        settings.check(composed(f"accelerator={device}", "accelerator.cuda_graph=true"))
