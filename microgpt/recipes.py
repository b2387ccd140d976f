"""How a model learns where the user does not say it: rules behind open options, and named sets of options.

The rules were chosen by measurement, see docs/learning.md.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

# Options by the name of a recipe. `plain` is what this program did by default before it had recipes: earlier
# figures, and the comparison with other programs, are of it.
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {
        "batch_size": 1,
        "order": "sequential",
        "positions": "learned",
        "activation": "relu",
        "token_shift": False,
        "init": "small",
        "lr": 3e-4,
        "beta2": 0.999,
        "schedule": "constant",
        "warmup": 0,
    },
}

# Of a model of width 1 and a batch of 1. A step of Adam is as long as the rate, whatever the gradients are;
# so a wider layer, which adds up more weights, changes its outputs more at the same rate.
LR_AT_WIDTH_1 = 0.16
HIGHEST_LR = 0.02
BETA2 = 0.99
LONGEST_WARMUP = 100  # steps


class Rates(NamedTuple):
    """The length of Adam's steps, and the memory for it."""

    lr: float  # the highest rate
    min_lr: float  # the rate at the end of a schedule
    warmup: int  # the steps in which the rate rises
    beta2: float


# The rates whose rules look at the model, the batch or the steps
FOLLOWING_SIZES = ("lr", "warmup", "beta2")


def rates(
    lr: float | None,
    min_lr: float | None,
    warmup: int | None,
    beta2: float | None,
    *,
    d_model: int,
    batch_size: int,
    steps: int,
    schedule: str,
) -> Rates:
    """These rates, each that is None by its rule:

    lr      0.16 / d_model * sqrt(batch_size), but at most 0.02
    min_lr  0; but a tenth of lr with the cosine
    warmup  a tenth of the steps, but at most 100
    beta2   0.99
    """
    if lr is None:
        lr = min(HIGHEST_LR, LR_AT_WIDTH_1 / d_model * math.sqrt(batch_size))
    if min_lr is None:
        min_lr = 0.0 if schedule == "linear" else lr / 10
    if warmup is None:
        warmup = min(LONGEST_WARMUP, steps // 10)
    return Rates(lr, min_lr, warmup, BETA2 if beta2 is None else beta2)
