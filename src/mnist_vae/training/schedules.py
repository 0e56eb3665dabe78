"""Schedules of the learning rate: functions of the epochs trained (fractions count) that give a factor of lr."""

import math


def cosine(epoch: float, max_epochs: float, warmup: float = 0.0, final: float = 0.0) -> float:
    """Half a cosine from lr down to final * lr at the end of max_epochs: Loshchilov & Hutter (2017), equation 5.

    Args:
        warmup: before that, a linear rise from 0 over this share of max_epochs: Goyal et al. (2017), section 2.2.
        final: factor at the end, from 0 to 1.

    Raises:
        ValueError: `warmup` is not from 0 to below 1, or `final` not from 0 to 1.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup is {warmup}; it is a share of the training, 0 or more, and below 1")
    if not 0 <= final <= 1:
        raise ValueError(f"final is {final}; it must be from 0 to 1")
    done = min(1.0, epoch / max_epochs)
    if done < warmup:
        return done / warmup
    done = (done - warmup) / (1 - warmup)
    return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2


def iwae(epoch: float) -> float:
    """10^(-i/7) for 3^i epochs, i = 0, 1, … 7, which makes 3,280: Burda et al. (2016), section 5."""
    stage = 0
    while stage < 7 and epoch >= (3 ** (stage + 1) - 1) / 2:
        stage += 1
    return 10 ** (-stage / 7)
