"""What a model needs but does not learn: its heads' borders and scales, and the angles of its positions."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Annotated, NamedTuple

import numpy as np

from microgpt.arrays import BLOCK, Array
from microgpt.machine.budget import Budget
from microgpt.model.architecture import Architecture


class Constants(NamedTuple):
    """What all models of one architecture share.

    A layer with fewer than H heads ends in heads of width 0.
    """

    offsets: Annotated[Array, "L H+1"]  # int32: head h of layer l has columns offsets[l, h] : offsets[l, h+1]
    scales: Annotated[Array, "L H"]  # what the scores of each head are multiplied by
    cos: Annotated[Array, "L A C"]  # A is T for rotary positions, else 0
    sin: Annotated[Array, "L A C"]
    squared: bool  # whether the MLP squares what its rectifier leaves


ROPE_BASE = 10000.0
# The width of a head whose scores both kinds of scales multiply by the same number
EQUAL_AT = 16


def constants(k: ModuleType, architecture: Architecture, budget: Budget) -> Constants:
    """The heads' offsets and scales, and for rotary positions the cosine and sine of each column's angle.

    The angles are those of equation 34 in Su et al. 2021. Raises MicrogptError where they exceed the budget.
    """
    L, H, T, C, A = (architecture.sizes[letter] for letter in "LHTCA")
    n_bytes = L * (H + 1) * 4 + L * H * np.dtype(architecture.dtype).itemsize
    budget.book(n_bytes, "the borders and scales of the heads", "use fewer --n-layers or a smaller --d-model")
    offsets, scales = np.full((L, H + 1), C, np.int32), np.zeros((L, H), architecture.dtype)
    for l, widths in enumerate(architecture.heads):
        offsets[l, 0] = 0
        offsets[l, 1 : len(widths) + 1] = np.cumsum(widths)
        scales[l, : len(widths)] = [attention_scale(architecture.attention_scale, D) for D in widths]
    what, remedy = "the angles of rotary positions", "use a shorter --seq-len, or --positions learned"
    cos, sin = (budget.zeros(k, (L, A, C), architecture.dtype, what, remedy) for _ in range(2))
    if A:
        for l, widths in enumerate(architecture.heads):
            frequencies = np.array([ROPE_BASE ** (-(c - c % 2) / D) for D in widths for c in range(D)])
            # a block of positions at a time: in float64 the angles of a layer would be twice its tables
            step = max(1, BLOCK // C)
            for t in range(0, T, step):
                angles = np.arange(t, min(t + step, T))[:, None] * frequencies
                k.from_host(cos[l, t : t + step], np.cos(angles))
                k.from_host(sin[l, t : t + step], np.sin(angles))
    squared = architecture.activation == "relu2"
    return Constants(k.to_device(offsets), k.to_device(scales), cos, sin, squared)


def attention_scale(kind: str, D: int) -> float:
    """What the scores of a head of width D are multiplied by.

    sqrt    1 / sqrt(D) (Vaswani et al. 2017, equation 1): wide heads have scores as large as those of narrow
            ones as long as queries and keys are independent, which is at the beginning
    linear  4 / D, proportional to 1 / D (Yang et al. 2022, muP, arXiv 2203.03466): the same holds once
            training has made queries and keys alike
    """
    return math.sqrt(EQUAL_AT) / D if kind == "linear" else 1 / math.sqrt(D)
