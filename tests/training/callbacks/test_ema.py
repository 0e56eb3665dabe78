from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from mnist_vae.runs.load import open_run
from mnist_vae.training.callbacks.ema import ExponentialAverage
from mnist_vae.training.module import VAEModule
from mnist_vae.training.train import train
from tests.conftest import TINY, composed
from tests.training.test_module import fit


@pytest.mark.parametrize("decay", [0.0, 0.6])
def test_the_average_is_the_recursion(decay: float) -> None:
    seen: list[torch.Tensor] = []  # the weights after each step

    class Watch(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
            seen.append(next(pl_module.parameters()).detach().clone())

    _, net = fit(Watch(), ExponentialAverage(decay), max_epochs=2)
    expected = seen[0]
    assert len(seen) == 10
    for step, weights in enumerate(seen[1:], start=1):
        share = min(decay, (1 + step) / (10 + step))
        expected = share * expected + (1 - share) * weights
    torch.testing.assert_close(next(net.parameters()).detach(), expected)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="decay is"):
        ExponentialAverage(decay)


@pytest.mark.usefixtures("undrawn")
def test_an_interrupted_average_ends_as_if_undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learned = ("prior=vamp", "prior.components=5", "objective=factor", "schedule=cosine", "schedule.warmup=0.3")
    cfg = composed(*TINY, *learned, "callbacks=ema", "logger=none", "max_epochs=3")
    whole = train(cfg, tmp_path / "whole")

    def stop(self: VAEModule, start=VAEModule.on_train_epoch_start) -> None:
        start(self)
        if self.current_epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(VAEModule, "on_train_epoch_start", stop)
        train(cfg, tmp_path / "stopped")
    resumed = train(cfg, tmp_path / "stopped")
    timing = {"train_seconds", "images_per_second"}
    assert {k: v for k, v in resumed.items() if k not in timing} == {k: v for k, v in whole.items() if k not in timing}
    one, other = (open_run(tmp_path / name, "last").vae.state_dict() for name in ("whole", "stopped"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.usefixtures("undrawn")
def test_the_run_keeps_and_tests_the_average(tmp_path: Path) -> None:
    cfg = composed(*TINY, "callbacks=ema", "callbacks.weight_averaging.decay=0.9")
    metrics = train(cfg, tmp_path / "whole")
    kept = torch.load(tmp_path / "whole" / "checkpoints" / "last.ckpt", weights_only=True)
    averaged, current = kept["state_dict"], kept["current_model_state"]
    assert not torch.equal(averaged["vae.to_posterior.weight"], current["vae.to_posterior.weight"])
    tested = open_run(tmp_path / "whole", "best").vae
    assert torch.equal(tested.to_posterior.weight, averaged["vae.to_posterior.weight"])
    rows = (tmp_path / "whole" / "metrics.csv").read_text()
    assert str(metrics["val/elbo"]) in rows
