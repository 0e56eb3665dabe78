"""Private names of other libraries that this project depends on, each with its reason."""

from typing import Any


def gradient_scale(trainer: Any, optimizer: Any) -> float:
    """The loss scale that gradients still carry in `on_before_optimizer_step`; 1 but for fused optimisers in 16-mixed.

    Such an optimiser takes the loss scale out of the gradients itself, inside its step; torch marks it by the private
    `_step_supports_amp_scaling`, which Lightning reads too. To be replaced by whatever public mark torch gives it.
    """
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    if scaler is None or not getattr(optimizer, "_step_supports_amp_scaling", False):
        return 1.0
    return scaler.get_scale()
