"""How older files differ from those of today.

Format 1 has another progress, and writes out the options that were left open. Before format 3 some tensors
have other names. Before format 5 a model does not say its activation, which is relu, nor whether it shifts in
time, which it does not; format 4 is format 3 with n-grams, whose weight is 1/2. Before format 6 it does not
say what the scores of a head of width D are multiplied by, which is 1/sqrt(D). Before format 7 the gradients
of a batch's shards, at most four, were added one after another. Before format 8 there were no replicas.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from microgpt.checkpoint.progress import SMOOTHING, Progress
from microgpt.config import BEFORE, TrainConfig
from microgpt.errors import MicrogptError, shown
from microgpt.fields import build

# The format that first says this of a model
SAID_SINCE = {"activation": 5, "token_shift": 5, "attention_scale": 6}
ADDED_AS_A_TREE = 7  # the first format whose runs add the gradients of shards as a binary tree
# before format 3; with `m.` or `v.` before it, of Adam's moments
NAMES = {"head_w": "unembed_w", "head_b": "unembed_b"}


def name_today(name: str) -> str:
    """What a tensor of format 1 or 2 is called now."""
    prefix = name[:2] if name[:2] in ("m.", "v.") else ""
    return prefix + NAMES.get(name.removeprefix(prefix), name.removeprefix(prefix))


@dataclass(frozen=True)
class _Progress1:
    """The progress as format 1 has it."""

    smoothed_loss: float | None
    val_loss: float | None
    best_val_loss: float | None
    elapsed_s: float
    recent: tuple[float, ...]  # the sums of losses and norms, how many, and seconds


def model_today(values: dict[str, Any], format: int) -> dict[str, Any]:
    """What a file of this format says of its architecture, with what had no name yet."""
    before = {name: BEFORE[name] for name, first in SAID_SINCE.items() if format < first}
    return {**before, **values}


def left_open(train: TrainConfig) -> TrainConfig:
    """Format 1 wrote out what had been left open, which then contradicts whatever is changed later."""
    default = dataclasses.replace(train, stride=None, d_ff=None, min_lr=None).resolved()
    return dataclasses.replace(
        train,
        stride=None if train.stride == default.stride else train.stride,
        d_ff=None if train.d_ff == default.d_ff else train.d_ff,
        min_lr=None if train.min_lr == default.min_lr else train.min_lr,
    )


def progress_of_format_1(values: dict[str, Any], step: int) -> Progress:
    old = build(_Progress1, values, "its progress")
    if len(old.recent) != 4 or not math.isfinite(old.recent[2]):
        raise MicrogptError(f"its progress cannot be: recent is {shown(old.recent)}")
    loss_sum, norm_sum, n, _ = old.recent
    return Progress(
        average=(old.smoothed_loss or 0.0) * (1 - (1 - SMOOTHING) ** step),
        val_loss=old.val_loss,
        best_val_loss=old.best_val_loss,
        best_step=None,
        loss_sum=loss_sum,
        norm_sum=norm_sum,
        count=int(n),
        evaluation_due=False,
    )
