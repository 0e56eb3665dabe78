"""The default experiment gives what the notebook gives, on the real MNIST."""

import statistics
from pathlib import Path

import pytest

from mnist_vae.data.mnist import TorchvisionSource
from mnist_vae.training.train import train
from scripts.notebook import curve
from tests.conftest import composed
from tests.training.test_train import rows

EPOCHS = {0: 4, 1: 2}  # by seed: most of the curve once, its beginning, which varies most, for a mean


@pytest.mark.slow
def test_the_notebooks_curve(real_mnist: str, tmp_path: Path) -> None:
    images = TorchvisionSource("MNIST", real_mnist).load().train_images.flatten(1)
    theirs, ours = [], []
    for seed, epochs in EPOCHS.items():
        theirs.append(curve(images, seed, 2))
        words = ("experiment=notebook", "callbacks=none", "logger=none", f"seed={seed}", f"max_epochs={epochs}")
        train(composed(*words), tmp_path / str(seed))
        ours.append([float(row["train/loss"]) for row in rows(tmp_path / str(seed))])
    # From seed to seed the first epoch varies with a standard deviation of 0.7 nats, the second with 0.3: so the means
    # of two seeds of the same experiment differ by less than four times that.
    for epoch, spread in ((0, 0.7), (1, 0.3)):
        difference = statistics.mean(run[epoch] for run in ours) - statistics.mean(run[epoch] for run in theirs)
        assert abs(difference) < 4 * spread
    published = [163.1, 121.3, 114.5, 111.5, 109.8, 108.6, 107.7, 107.1, 106.6, 106.2]
    for run in ours:
        for epoch in range(1, len(run)):
            assert run[epoch] == pytest.approx(published[epoch], abs=0.7 if epoch == 1 else 0.5), f"epoch {epoch + 1}"
    assert [len(run) for run in ours] == [4, 2]


@pytest.mark.slow
def test_conv_has_left_its_plateau_after_an_epoch(real_mnist: str, tmp_path: Path) -> None:
    """With PyTorch's initial weights it ends this epoch between -127 and -151."""
    metrics = train(composed("model=conv", "max_epochs=1", "callbacks=none", "logger=none"), tmp_path)
    assert float(metrics["test/elbo"]) > -121


@pytest.mark.slow
def test_the_speedrun_reaches_the_notebooks_result(real_mnist: str, tmp_path: Path) -> None:
    metrics = train(composed("experiment=speedrun"), tmp_path)
    assert metrics["epochs"] == 2 and float(metrics["test/elbo"]) > -106.0
