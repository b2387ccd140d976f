"""What the loss would be without a head: all other heads stay on.

    change_h = loss without head h - loss with all heads, in bits per character

A positive change means that the model predicts worse without the head. There are two ways to be without it,
which `coalitions.py` describes, and neither is neutral. The mean is the main one, since the rest of the
model has learned to expect what a head writes on the average; how much the choice matters differs from model
to model (Pochinkov et al. 2024, arXiv 2408.17322).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from microgpt.arrays import Floats
from microgpt.intervals import bca_ends
from microgpt.xray.coalitions import Coalitions
from microgpt.xray.head import Head


@dataclass(frozen=True, eq=False)
class Change:
    """By how much the loss grows without each of H heads, in bits per character.

    bits       (H,)
    low, high  (H,)  the interval at 95%, by a BCa bootstrap of the parts of the text: it says how far the
                     figure depends on the text. NaN for a text of fewer than 6 chunks
    """

    bits: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Ablations:
    """What the loss would be without a head, for every head of a model."""

    heads: tuple[Head, ...]
    all_on: float  # the loss with all heads, in bits per character
    all_off: float  # that with none of them: all are replaced by their means
    mean: Change  # if a head's output is replaced by its mean
    zero: Change  # if it is replaced by 0


def ablations(coalitions: Coalitions, progress: Callable[[int, int], None] | None = None) -> Ablations:
    """The loss without each head of a model.

    progress(done, total)  is called on the way with two numbers of heads, where each counts twice
    """
    heads = coalitions.heads
    all_on = coalitions.losses([True] * len(heads))
    all_off = coalitions.losses([False] * len(heads))
    changes = []
    for number, off_by in enumerate(("mean", "zero")):
        grown = np.empty((len(heads), coalitions.n_parts))
        for h in range(len(heads)):
            grown[h] = coalitions.without(h, off_by) - all_on
            if progress is not None:
                progress(number * len(heads) + h + 1, 2 * len(heads))
        changes.append(Change(grown.mean(axis=1), *bca_ends(grown)))
    return Ablations(heads, float(all_on.mean()), float(all_off.mean()), *changes)
