import pytest

from mnist_vae.training.callbacks.epoch_images import EpochImages


def test_an_interval_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="every_n_epochs is 0"):
        EpochImages(0)
