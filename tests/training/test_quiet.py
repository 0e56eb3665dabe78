import logging
import warnings

import pytest
from pytorch_lightning.utilities import rank_zero_info

from mnist_vae.training.quiet import quiet_lightning


def test_routine_messages_are_left_out_and_others_are_not(caplog: pytest.LogCaptureFixture) -> None:
    messages = ("GPU available: False, used: False", "`Trainer.fit` stopped: `max_epochs=2` reached.", "Epoch 3 is odd")
    with caplog.at_level(logging.INFO, "pytorch_lightning"):
        with quiet_lightning():
            for message in messages:
                rank_zero_info(message)
        assert caplog.messages == ["Epoch 3 is odd"]
        rank_zero_info(messages[0])
    assert caplog.messages[1:] == [messages[0]]  # afterwards they are logged again


def test_the_messages_of_fabric_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    fabric = logging.getLogger("lightning_fabric")
    with caplog.at_level(logging.INFO, "lightning_fabric"):
        with quiet_lightning():
            fabric.info("left out")
            fabric.error("an error")
        fabric.info("afterwards")
    assert caplog.messages == ["an error", "afterwards"]


def test_advice_that_does_not_hold_is_left_out() -> None:
    advice = "The 'train_dataloader' does not have many workers which may be a bottleneck."
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet_lightning():
            warnings.warn(advice, stacklevel=1)
            warnings.warn("something else", stacklevel=1)
        warnings.warn(advice, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["something else", advice]


def test_an_interrupt_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), quiet_lightning():
        raise SystemExit(1)  # as Lightning ends on Ctrl-C
    with pytest.raises(ValueError, match="an error"), quiet_lightning():
        raise ValueError("an error")
    assert not logging.getLogger("pytorch_lightning.utilities.rank_zero").filters
