"""Steps by a graph, without a GPU: a recording that is replayed with what Python knew when it was made, as CUDA's is;
and on the device `meta`, which stands for one, no step touches the CPU, which CUDA would refuse to record."""

from collections.abc import Callable
from contextlib import nullcontext
from itertools import product
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mnist_vae.config import checks
from mnist_vae.config.build import build_vae
from mnist_vae.data.batches import STRETCH, Batch
from mnist_vae.data.binarize import Binarize
from mnist_vae.objectives import ELBO, IWAE, TC, Capacity
from mnist_vae.training.capture import WARM_UP, StepGraph
from mnist_vae.training.experiment import build_objective
from mnist_vae.training.module import VAEModule
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.seeding import Noise
from tests.conftest import composed
from tests.training.test_module import Listening, Rows, module, small_for


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
        checks.check(composed(f"accelerator={device}", "accelerator.cuda_graph=true"))


def test_steps_that_cannot_be_recorded_are_taken_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    tape = Tape()

    def refuse(function: Callable[[], Tensor]) -> Any:
        tape.recorded += 1
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    tape.record = refuse  # type: ignore[method-assign]
    with caplog.at_level("INFO", logger="mnist_vae"):
        assert same(fitted(ELBO(), None), fitted(ELBO(), tape))
    assert tape.recorded == 1 and tape.replayed == 0
    told = [message for message in caplog.messages if "one by one" in message]
    assert len(told) == 1 and told[0].endswith("can't be recorded: operation not permitted when stream is capturing")


class Watch(TorchDispatchMode):
    """Notes whatever would make a GPU wait for the CPU, or take something from it."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        inputs, outputs = (
            [leaf.device.type for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
            for tree in ((args, kwargs), result)
        )
        if "cpu" in inputs + outputs or any(name in str(function) for name in self.WAITS):
            self.seen.append(str(function))
        return result


def taken_on_meta(*overrides: str) -> tuple[Any, list[str]]:
    """A step's objective, and what it did that can't be recorded."""
    cfg = composed("data=digits", "accelerator=cpu", *overrides)
    vae = build_vae(cfg, (1, 28, 28), 10).to("meta")
    objective = build_objective(cfg, 1000)
    x, labels = torch.zeros(16, 1, 28, 28, device="meta"), torch.zeros(16, dtype=torch.long, device="meta")
    with Watch() as watch:
        terms = objective(vae.given(labels), x, 0.5, Noise(16))
        (terms.loss.sum() / 16).backward()
    return objective, watch.seen


GROUPS = {
    "objective": ["elbo", "capacity", "iwae", "tc"],
    "prior": ["standard_normal", "mixture", "vamp", "flow"],
    "posterior": ["diagonal", "full_covariance"],
}
EXTRAS = [
    *([f"likelihood={name}"] for name in ("continuous_bernoulli", "gaussian", "discretized_logistic")),
    *([f"model={name}"] for name in ("conv", "resnet", "iwae_mlp")),
    ["conditional=true"],
    ["objective.free_bits=0.1"],
    ["objective=iwae", "objective.k=3", "objective.doubly_reparameterized=true"],
]


@pytest.mark.parametrize(
    "overrides",
    [[f"{group}={choice}" for group, choice in zip(GROUPS, row, strict=True)] for row in product(*GROUPS.values())]
    + EXTRAS,
    ids=" ".join,
)
def test_what_may_be_recorded_needs_nothing_of_the_cpu(overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it does not know the device
    objective, seen = taken_on_meta(*overrides)
    assert hasattr(objective, "in_force") and seen == []


def test_an_objective_that_draws_on_the_cpu_is_seen_and_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    objective, seen = taken_on_meta("objective=mmd")
    assert not hasattr(objective, "in_force") and seen
