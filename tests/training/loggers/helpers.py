"""A run that is interrupted within its second epoch and resumed, as the tracking tools see it."""

from pathlib import Path
from typing import Any

import pytest

from mnist_vae.training.module import VAEModule
from mnist_vae.training.train import train
from tests.conftest import composed

RUN = ("data=digits", "model.hidden_dims=[16]", "latent_dim=3", "max_epochs=2", "accelerator=cpu", "beta=2")
RUN += ("trainer.log_every_n_steps=4", "schedule=constant")
EPOCH_STEPS = [10, 21]  # the last step of each epoch, at which its metrics and pictures are logged
STEPS = [3, 7, 11, 15, 19]
TEST_STEP = 22


def interrupted_and_resumed(folder: Path, *overrides: str) -> dict[str, float | str]:
    """Train, interrupted after the steps 11 and 15 of an epoch that is not complete were logged; return the metrics."""
    step = VAEModule.training_step

    def failing(module: VAEModule, batch: Any, batch_idx: int) -> Any:
        if (module.current_epoch, batch_idx) == (1, 7):
            raise RuntimeError("interrupted")
        return step(module, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="interrupted"):
        patch.setattr(VAEModule, "training_step", failing)
        train(composed(*RUN, *overrides), folder)
    return train(composed(*RUN, *overrides), folder)
